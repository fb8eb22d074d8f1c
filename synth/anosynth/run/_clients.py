"""Clients of clusters: of one whose scheduler listens at an address, or of one on this machine alone."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anosynth.datasets._names import remark
from anosynth.errors import AnosynthError, DataError, ParameterError

CONNECT = 10
"""Seconds in which a scheduler must answer."""

JOIN = 60
"""Seconds in which the first worker must have come."""

_RETRIES = 3
_ADDRESS = re.compile(r"(?:(?P<scheme>tcp|tls)://)?(?P<host>[^/:@\s]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")

_ENVIRON = {
    # Dask would have every freed page given back at once, which makes array work up to twice as slow.
    "MALLOC_TRIM_THRESHOLD_": 268435456,
    "MALLOC_MMAP_THRESHOLD_": 268435456,
    "OMP_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
}


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield a client of the cluster whose scheduler listens at an address; it has a worker.

    Raises:
        ParameterError: the address is none.
        DataError: no scheduler answers there, or no worker comes.
    """
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
    remark(f"waiting up to {JOIN} s for a worker of {address}")
    end = time.monotonic() + JOIN
    while not client.nthreads():
        if time.monotonic() > end:
            raise DataError(
                f"--address: {address}: no worker in {JOIN} s\nhint: dask worker {address} --nworkers N --nthreads 1"
            )
        time.sleep(0.2)
    demand.release()


@contextmanager
def local(workers: int) -> Iterator[Any]:
    """Yield a client of a cluster of processes of this machine, of one thread and bound to loopback.

    Raises:
        AnosynthError: it cannot be started.
    """
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
            started = LocalCluster(
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
        with started, Client(started, timeout=JOIN, set_as_default=False) as client:
            yield client
