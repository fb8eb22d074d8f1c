"""Engines map batches of tasks to their records; all give the same records in the same order.

An engine is a function (batches, work) -> generator of what `work` returns for each, in their order; once that is
closed, nothing is worked on any more. It holds a bounded number of them and keeps nothing: what was made before a kill
is found again by its hashes, not by the engine.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from anosynth.errors import AnosynthError, ParameterError

from .plan import Batch, Plan

Records = list[dict[str, Any]]
Work = Callable[[Batch], Records]
Engine = Callable[[Iterable[Batch], Work], Generator[Records, None, None]]

_CHUNK = 8
_AHEAD = 3
_RETRIES = 3
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


ENGINES = ("local", "dask")


def choose(name: str, plan: Plan, out: Path | str, *, workers: int = 0, address: str = "") -> Engine:
    """Return the engine that carries out a plan.

    Args:
        name: "local" for this process or several of this machine, "dask" for the workers of a cluster.
        workers: local processes; 0 and 1 of "local" work in this process.
        address: of the scheduler of a cluster that is there; "" lets "dask" start a cluster on this machine.

    Raises:
        ParameterError: there is no such engine, or it is not installed.
        DataError: the cluster does not answer, or its workers lack what they need.
    """
    if name not in ENGINES:
        raise ParameterError(f"--engine: {name}: must be {' or '.join(ENGINES)}")
    if name == "dask":
        from .cluster import cluster

        return cluster(workers, address, plan, out)
    if address:
        raise ParameterError(f"--address: {address}: only together with --engine dask")
    return processes(workers) if workers > 1 else serial


def serial(batches: Iterable[Batch], work: Work) -> Generator[Records, None, None]:
    """Do one batch after another in this process."""
    yield from map(work, batches)


def processes(workers: int) -> Engine:
    """Return the engine of up to `workers` local processes of one thread; a pool that loses a worker is built again."""

    def run(batches: Iterable[Batch], work: Work) -> Generator[Records, None, None]:
        chunks = chunked(batches, _CHUNK)
        waiting: deque[list[Batch]] = deque(itertools.islice(chunks, workers))
        # A worker takes longer to start than many a chunk to do: none is started that would have nothing to do.
        used = len(waiting)
        running: deque[tuple[list[Batch], Future[list[Records]]]] = deque()
        deaths = 0
        while used:
            try:
                with _pool(used) as pool:
                    while True:
                        # After a death, one at a time: what kills workers is then known, and has all memory.
                        while len(running) < (1 if deaths else used * _AHEAD):
                            waiting.extend(itertools.islice(chunks, 0 if waiting else 1))
                            if not waiting:
                                break
                            # A pool that has lost a worker refuses; the chunk must still wait then.
                            future = pool.submit(_do, waiting[0], work)
                            running.append((waiting.popleft(), future))
                        if not running:
                            return
                        yield from running[0][1].result()
                        running.popleft()
                        deaths = 0
            except BrokenProcessPool:
                # Which of several killed it is unknown, but all are pure; a pool that lost a worker gives nothing more.
                waiting.extendleft(chunk for chunk, _ in reversed(running))
                running.clear()
                deaths += 1
                if deaths > _RETRIES:
                    near = f" near `{waiting[0][0].job.id}`" if waiting else ""
                    raise AnosynthError(
                        f"worker processes died {deaths} times{near}\n"
                        "hint: is there enough memory? try fewer --workers\n"
                        '      a script that calls run needs `if __name__ == "__main__":`'
                    ) from None

    return run


def chunked(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Yield lists of batches that have `size` tasks together or, the last one of them being large, more."""
    chunk: list[Batch] = []
    tasks = 0
    for batch in batches:
        chunk.append(batch)
        tasks += len(batch)
        if tasks >= size:
            yield chunk
            chunk, tasks = [], 0
    if chunk:
        yield chunk


def _do(chunk: list[Batch], work: Work) -> list[Records]:
    return [work(batch) for batch in chunk]


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    # numpy reads the thread counts when it is imported, which in a spawned child is before any initializer.
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_leave_with_parent)
    try:
        try:
            with _no_interrupts():
                started = [pool.submit(os.getpid) for _ in range(workers)]
            for future in started:
                future.result()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Have Ctrl-C wait, which reaches all processes of a terminal: one that has only begun to start would tell of it.

    A process inherits from the thread that starts it what is blocked.
    """
    # Its start would unblock the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_with_parent() -> None:
    """End this worker when its driver dies: a killed driver closes no queue. Ctrl-C is the driver's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
