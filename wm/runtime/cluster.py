"""Shards of rollouts on a Dask cluster, as wm.runtime.executor has them in local processes.

The workers are processes of one thread, started in a checkout of this commit, that see this folder
at the same path (a shared file system). Dask sends a task again when its worker died; a task whose
results are files replaces them whole, so it may run twice. Dask's protocol executes what it is
sent: a cluster belongs on a network that is trusted.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hashlib
import importlib
import logging
import os
import pickle
import socket
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from distributed import Client, Future, KilledWorker, get_worker
from distributed.comm.addressing import get_address_host_port

from wm.core import kernels, processor
from wm.core.errors import UserError
from wm.runtime.checkpoint import versions

Context = TypeVar("Context")
Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECT = 15
"""Seconds for the scheduler to answer at the start."""
FETCH = 30
"""Seconds for the scheduler to hand over a result that is there."""
WAIT = 60
"""Seconds without a single worker before giving up."""
POLL = 5.0
"""Seconds between looks at whether there are workers."""
KEPT = 4
"""Clients whose contexts a worker keeps: so many may share it without building any twice."""


def _digest() -> str:
    """Returns a digest of what results depend on, as this process has it: the package's code, room
    by room, and the versions of libraries."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("[!.]*.py")):  # an editor's are hidden
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    digest.update(versions().encode())
    return digest.hexdigest()


CODE = _digest()


def _kernels() -> dict[str, str | None]:
    """Returns what the variables are that stages set or take away, and a worker has to be started
    with."""
    return {name: os.environ.get(name) or None for name in (*kernels.FIXED, *kernels.UNSET)}


@dataclass(frozen=True)
class _Client:
    """What a worker has to know of a client, sent with every task."""

    name: str
    """A name for one executor of one process: models that were trained anew are loaded anew."""
    folder: str
    """The client's working folder."""
    code: str
    """The digest of the client's code and libraries."""
    kernels: dict[str, str | None]
    """The client's environment variables that choose kernels."""
    precision: str
    """The precision that is computed in."""
    kind: str
    """The processors that compute the same bytes in it as the client's."""


class Cluster(Generic[Context]):
    """The workers of the scheduler at `address`, each with a context of its own.

    A context manager. Leaving it, also by Ctrl-C, drops what no worker has begun.
    """

    def __init__(self, address: str, build: Callable[[], Context], precision: str) -> None:
        """`build` makes a worker's context; it must be picklable (a function or a partial). In
        `precision` all workers compute the same bytes as this process would.

        Raises UserError when no scheduler answers at `address`.
        """
        self._address = address
        # what it logs of a lost connection is said by the UserError
        for name in ("distributed", "distributed.client", "tornado", "tornado.application"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            _try(address)
            self._client = Client(address, timeout=CONNECT, set_as_default=False)
        except Exception as error:  # whatever answers there, Dask's parser meets it first
            raise UserError(
                f"params.yaml: scheduler: no Dask scheduler answers at {address!r:.100} "
                f"({_reason(error):.200}); start one and give its address, such as "
                "tcp://host:8786, or set executor to process"
            ) from error
        kind = processor.kind(precision)
        self._name = _Client(uuid.uuid4().hex, os.getcwd(), CODE, _kernels(), precision, kind)
        self._build = build

    def __enter__(self) -> Cluster[Context]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):  # a scheduler that is gone; what was made is whole
            self._client.close(timeout=POLL)

    def map(
        self, function: Callable[[Context, Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yields function(context, item) for each item, in the items' order.

        An exception in a worker is raised here. Workers may come and go; UserError when one task
        has ended several of them, when none is left, and when the scheduler is lost.
        """

        module = __name__

        # bytes, and a local function, which Dask sends by value: the scheduler loads both, and a
        # worker that cannot import this package has to live to say so
        def run(task: bytes) -> Any:
            return importlib.import_module(module).perform(task)

        # what is sent is loaded only by a worker that has the same code
        work = [pickle.dumps((self._build, function, item)) for item in items]
        tasks = [pickle.dumps((self._name, part)) for part in work]
        futures = [self._client.submit(run, task, pure=False) for task in tasks]
        for future in futures:
            yield self._result(future)
            future.release()

    def _result(self, future: Future) -> Any:
        alone = 0.0
        while True:
            try:
                error = future.exception(timeout=POLL)
                break
            except TimeoutError:
                alone = 0.0 if self._has_workers() else alone + POLL
            except (CancelledError, OSError):
                raise self._lost() from None
            if alone >= WAIT:
                raise UserError(
                    f"scheduler {self._address}: no worker for {WAIT} s; start some and run it "
                    "again, it resumes"
                )
        if error is None:
            try:
                return future.result(timeout=FETCH)
            except (CancelledError, OSError):  # TimeoutError is one
                raise self._lost() from None
        if isinstance(error, KilledWorker):
            raise UserError(
                "a task ended every worker that took it (killed, or out of memory); "
                "run it again, it resumes; smaller shards in params.yaml need less memory"
            )
        if isinstance(error, ModuleNotFoundError):
            raise UserError(f"a worker cannot import {error.name}; {_START}")
        raise error

    def _has_workers(self) -> bool:
        try:
            return bool(self._client.nthreads())
        except (OSError, RuntimeError):
            raise self._lost() from None

    def _lost(self) -> UserError:
        return UserError(
            f"scheduler {self._address}: lost; start it and its workers and run it again, it "
            "resumes"
        )


def _try(address: str) -> None:
    """Registers at a scheduler and leaves it; raises any Exception, within CONNECT seconds, where
    none answers at `address`.

    A Client that fails leaves a thread behind, which holds up this process's end. One in an event
    loop of its own does not.
    """
    deadline = time.monotonic() + CONNECT
    host, port = get_address_host_port(address)
    _look_up(host, port)

    async def register() -> None:
        patience = 0.9 * CONNECT  # ends before the deadline, as Dask knows what it waits for
        client = Client(address, timeout=patience, set_as_default=False, asynchronous=True)
        try:
            await asyncio.wait_for(client, deadline - time.monotonic())
        finally:
            await client.close()

    try:
        asyncio.run(register())
    except OSError:
        # Dask keeps its last attempt's error alone, and its deadline may have cut that one off, or,
        # on a busy machine, have come before the first: a connection of our own says whether the
        # port refuses
        with contextlib.suppress(TimeoutError):
            left = max(0.1, deadline - time.monotonic())
            socket.create_connection((host, port), left).close()
        raise


def _look_up(host: str, port: int) -> None:
    """Raises OSError or ValueError where no name server knows `host` within CONNECT seconds.

    Its thread may be left behind: asyncio's own would be waited for as long as name servers are.
    """
    if not host or not 0 < port < 65536:
        raise ValueError("it needs a host and a port from 1 to 65535")
    found: concurrent.futures.Future[object] = concurrent.futures.Future()

    def look_up() -> None:
        try:
            found.set_result(socket.getaddrinfo(host, port))
        except (OSError, ValueError) as error:
            found.set_exception(error)

    threading.Thread(target=look_up, daemon=True).start()
    found.result(timeout=CONNECT)


def _reason(error: BaseException) -> str:
    """Returns the message of what caused `error` in the end, in one line."""
    reason = f"nothing within {CONNECT} s" if isinstance(error, TimeoutError) else repr(error)
    for cause in _causes(error):
        reason = " ".join(str(cause).split()) or reason
    return reason


def _causes(error: BaseException) -> list[BaseException]:
    """Returns `error` and what caused it, the first cause last."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    return causes


_START = (
    "start workers anew by `PYTHONPATH=. dask worker ADDRESS --nthreads 1`, with the libraries of "
    "constraints.txt, in a checkout of the same commit that shares its files; for bf16 on one kind "
    "of processor"
)
_contexts: OrderedDict[str, Any] = OrderedDict()
_one_task = threading.Lock()


def perform(task: bytes) -> Any:
    """Runs a task in a worker, in the client's folder as a local process would be; returns its
    result."""
    with _one_task:
        client, work = pickle.loads(task)
        if client.code != CODE:
            raise _refusal("has other code, or other versions of libraries, than this checkout")
        wanted = dict(client.kernels.items() - _kernels().items())
        if wanted:
            lines = " ".join(f"{name}={value or ''}" for name, value in sorted(wanted.items()))
            raise _refusal(f"its environment is not that of the stages, {lines}")
        if get_worker().state.nthreads != 1:
            raise _refusal("has several threads, and networks and environments of one")
        try:
            os.chdir(client.folder)
        except OSError as error:
            raise _refusal(f"{client.folder} is not there ({error.strerror})") from None
        build, function, item = pickle.loads(work)
        if client.name not in _contexts:
            # once a client: the system's description of the processor is long
            if (kind := processor.kind(client.precision)) != client.kind:
                raise _refusal(f"computes {client.precision} as {kind} does, not as {client.kind}")
            _contexts[client.name] = build()
            if len(_contexts) > KEPT:
                _contexts.popitem(last=False)
        _contexts.move_to_end(client.name)
        return function(_contexts[client.name], item)


def _refusal(reason: str) -> UserError:
    return UserError(f"worker {get_worker().address}: {reason}; {_START}")
