"""The engine of dask.distributed: tasks go to the workers of a cluster that is there, or of one on this machine alone.

A cluster's workers are other people's processes, maybe on other machines, so what the same bytes depend on is looked at
before anything is made, and again by each worker that joins later: the same anosynth, the generators of the recipe,
the same folders. A hidden file in OUT, the mark, says so: a worker that does not see it has not the same OUT, and one
that sees it no more stops, because its driver has gone.
"""

from __future__ import annotations

import itertools
import logging
import pickle
import secrets
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anosynth.errors import AnosynthError, DataError, ParameterError

from ._clients import connected, local
from ._terms import Terms, check, do, mark, remark_slow, terms_of

if TYPE_CHECKING:
    from .engines import Engine, Records, Work
    from .plan import Batch, Plan

LEFT = 300
"""Seconds that a run waits for a worker after the last one has gone."""

_CHUNKS = (4, 64)
"""Tasks in the first and in the last tasks of dask's, of which each costs its scheduler some milliseconds."""

_AHEAD = 3
_LOOK = 10.0


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

    def run(batches: Iterable[Batch], work: Work) -> Generator[Records, None, None]:
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
        client = stack.enter_context(connected(address) if address else local(workers))
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
