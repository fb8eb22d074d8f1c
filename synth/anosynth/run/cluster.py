"""The engine of dask.distributed: tasks go to the workers of a cluster that is there, or of one on this machine alone.

A cluster's workers are other people's processes, maybe on other machines, so what the same bytes depend on is looked at
before anything is made, and again by each worker that joins later: the same anosynth, the generators of the recipe,
the same folders. A hidden file in OUT, the mark, says so: a worker that does not see it has not the same OUT, and one
that sees it no more stops, because its driver has gone.
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import re
import secrets
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anosynth.errors import AnosynthError, DataError, ParameterError

from ._terms import Terms, check, do, mark, remark_slow, terms_of

if TYPE_CHECKING:
    from .engines import Engine, Records, Work
    from .plan import Batch, Plan

CONNECT = 10
"""Seconds in which a scheduler must answer."""

JOIN = 60
"""Seconds in which the first worker must have come."""

LEFT = 300
"""Seconds that a run waits for a worker after the last one has gone."""

_CHUNKS = (4, 64)
"""Tasks in the first and in the last tasks of dask's, of which each costs its scheduler some milliseconds."""

_AHEAD = 3
_RETRIES = 3
_LOOK = 10.0

_ENVIRON = {
    # Dask would have every freed page given back at once, which makes array work up to twice as slow.
    "MALLOC_TRIM_THRESHOLD_": 268435456,
    "MALLOC_MMAP_THRESHOLD_": 268435456,
    "OMP_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
}


def cluster(workers: int, address: str, plan: Plan, out: Path | str) -> Engine:
    """Return the engine of the cluster whose scheduler listens at `address`, after a look at its workers.

    Without an address it is a cluster of `workers` processes of one thread on this machine, bound to loopback, which
    lives as long as the engine is used.

    Raises:
        ParameterError: dask.distributed is not installed, or the address is none.
        DataError: no scheduler answers there, no worker comes, or a worker lacks what it needs.
    """
    _distributed()
    if address:
        if workers > 1:
            raise ParameterError(f"--workers: {workers}: the cluster at --address has its own: leave it out")
        # Before anything in OUT is replaced.
        with _session(workers, address, plan, out) as (client, _):
            remark_slow(client)

    def run(batches: Iterable[Batch], work: Work) -> Iterator[Records]:
        with _session(workers, address, plan, out) as (client, terms):
            yield from _mapped(client, terms, _chunks(batches), work)

    return run


def _mapped(client: Any, terms: Terms, chunks: Iterator[list[Batch]], work: Work) -> Iterator[Records]:
    running: deque[tuple[list[Batch], Any]] = deque()
    name = f"anosynth-{secrets.token_hex(4)}"
    numbers = itertools.count()
    most, counted = 0, 0.0
    try:
        while True:
            if time.monotonic() > counted + 1:
                # Workers come and go.
                most, counted = _AHEAD * max(1, len(client.nthreads())), time.monotonic()
            for chunk in itertools.islice(chunks, max(0, most - len(running))):
                # In one piece, for dask looks into every list that it is given.
                packed = pickle.dumps((chunk, work, terms), protocol=pickle.HIGHEST_PROTOCOL)
                running.append((chunk, client.submit(do, packed, key=f"{name}-{next(numbers)}", pure=False)))
            if not running:
                return
            near = running[0][0][0].job.id
            with _told(near):
                _await(client, running[0][1])
                done = itertools.takewhile(lambda pair: pair[1].status == "finished", running)
                found = client.gather([future for _, future in done] or [running[0][1]])
            for records in found:
                chunk, future = running.popleft()
                future.release()
                if len(records) != len(chunk):
                    raise DataError(f"{terms.mark}: has gone: expected it to stay as long as the run\nhint: run again")
                yield from records
    finally:
        # What is cancelled while it is done goes on to its end, unless it looks for the mark, which has gone by then.
        with suppress(Exception):
            client.cancel([future for _, future in running])


def _chunks(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Yield lists of batches, short ones first: of few samples, too, each worker has its share."""
    from .engines import chunked

    iterator, done = iter(batches), 0
    while chunk := next(chunked(iterator, min(_CHUNKS[1], max(_CHUNKS[0], done // 32))), None):
        yield chunk
        done += sum(map(len, chunk))


def _await(client: Any, future: Any) -> None:
    """Return when a future is done; raise DataError if there has been no worker for a long time."""
    from distributed import TimeoutError as TimedOut
    from distributed import wait

    seen = time.monotonic()
    while True:
        try:
            with client.as_current():
                wait([future], timeout=_LOOK)
            return
        except TimedOut:
            now = time.monotonic()
            if client.nthreads():
                seen = now
            elif now > seen + LEFT:
                raise DataError(f"the cluster has had no worker for {LEFT} s\nhint: {_AGAIN}") from None


_AGAIN = "what was made is kept: give the same line again to go on"


@contextmanager
def _told(near: str) -> Iterator[None]:
    """Say what dask's own errors mean."""
    from distributed import CancelledError
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise AnosynthError(
            f"worker processes died {error.allowed_failures + 1} times near `{near}`\n"
            f"hint: is there enough memory? try fewer workers; {_AGAIN}"
        ) from None
    except AnosynthError:
        raise
    except (CancelledError, CommClosedError, TimeoutError) as error:
        raise DataError(f"the scheduler was lost: {type(error).__name__}\nhint: {_AGAIN}") from None


@contextmanager
def _session(workers: int, address: str, plan: Plan, out: Path | str) -> Iterator[tuple[Any, Terms]]:
    """Yield a client, and the terms that all its workers meet."""
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        terms = terms_of(plan, out, stack.enter_context(mark(out)))
        client = stack.enter_context(_connected(address) if address else _local(workers))
        check(client, terms)
        yield client, terms


def _distributed() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise ParameterError(
            "--engine dask: dask.distributed is not installed\nhint: pip install 'anosynth[cluster]'"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what dask logs and warns of for those who run clusters to itself."""
    loud = map(logging.getLogger, ("distributed", "distributed.client"))
    before = {log: log.level for log in loud}
    for log in before:
        log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for log, level in before.items():
            log.setLevel(level)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    import dask.config
    from distributed import Client

    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ParameterError(f"--address: {address}: expected that of a dask scheduler, e.g. tcp://10.0.0.1:8786")
    if match["scheme"] == "tls" and not dask.config.get("distributed.comm.tls.ca-file", None):
        raise ParameterError(
            f"--address: {address}: dask's own configuration names no certificates\n"
            "hint: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE and what belongs to it"
        )
    _knock(address, match["host"].strip("[]"), int(match["port"]), encrypted=match["scheme"] == "tls")
    try:
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, TimeoutError):
        raise DataError(
            f"--address: {address}: no answer in {CONNECT} s: expected a dask scheduler of a version like this one's"
        ) from None
    try:
        _wait_for_worker(client, address)
        yield client
    finally:
        client.close(timeout=CONNECT)


_ADDRESS = re.compile(r"(?:(?P<scheme>tcp|tls)://)?(?P<host>[^/:@\s]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")


def _knock(address: str, host: str, port: int, *, encrypted: bool) -> None:
    """Raise DataError unless a scheduler answers: dask's own error does not say why, and it may wait for ever."""
    end, reason = time.monotonic() + CONNECT, ""
    while (left := end - time.monotonic()) > 0:
        try:
            with socket.create_connection((host, port), timeout=left) as there:
                # Dask's servers speak first: how many pieces their greeting has, in eight bytes.
                greeting = b"\0" * 8 if encrypted else there.recv(8)
                if len(greeting) == 8 and int.from_bytes(greeting, "little") < 1000:
                    return
                reason = "what answers there is no dask scheduler"
                break
        except TimeoutError:
            reason = f"nothing answers in {CONNECT} s"
        except (OSError, OverflowError) as error:
            reason = f"{str(getattr(error, 'strerror', None) or error).lower()} (tried for {CONNECT} s)"
            # It may be about to start.
            time.sleep(min(0.5, left))
    raise DataError(f"--address: {address}: {reason}\nhint: is the scheduler running, and reachable from here?")


def _wait_for_worker(client: Any, address: str) -> None:
    if client.nthreads():
        return
    # A cluster that grows on demand has no worker until there is something to do.
    demand = client.submit(os.getpid, pure=False)
    sys.stderr.write(f"waiting up to {JOIN} s for a worker of {address}\n")
    end = time.monotonic() + JOIN
    while not client.nthreads():
        if time.monotonic() > end:
            raise DataError(
                f"--address: {address}: no worker in {JOIN} s\nhint: dask worker {address} --nworkers N --nthreads 1"
            )
        time.sleep(0.2)
    demand.release()


@contextmanager
def _local(workers: int) -> Iterator[Any]:
    import dask.config
    from distributed import Client, LocalCluster

    own = {
        "distributed.nanny.pre-spawn-environ": _ENVIRON,
        "distributed.scheduler.allowed-failures": _RETRIES,
        # Ctrl-C reaches all processes of a terminal, and is the driver's to answer.
        "distributed.worker.preload": ["import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"],
        # Dask opens these ports with or without anything to show.
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with dask.config.set(own):
        try:
            local = LocalCluster(
                n_workers=max(1, workers),
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                memory_limit=0,
                # What the driver's own environment says counts for more than what dask is told to set before a start.
                env={name: str(value) for name, value in _ENVIRON.items()},
                silence_logs=logging.CRITICAL,
            )
        except (RuntimeError, OSError) as error:
            raise AnosynthError(
                f"--engine dask: no cluster could be started on this machine: {error}\n"
                'hint: a script that calls run needs `if __name__ == "__main__":`'
            ) from None
        with local, Client(local, timeout=JOIN, set_as_default=False) as client:
            yield client
