"""Workers for shards of rollouts: local processes, or a Dask cluster's.

Shards are of fixed size and their results come back in order, so a result never depends on how
many workers there are, where they are, or on which of them ran what. What a worker needs
(environments, networks) is built once in each, by the first task it gets.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from wm.core.errors import UserError
from wm.core.params import SharedParams
from wm.runtime import cores
from wm.runtime.signals import uninterrupted

Context = TypeVar("Context")
Context_co = TypeVar("Context_co", covariant=True)
Item = TypeVar("Item")
Result = TypeVar("Result")

_build: Callable[[], Any]
_context: Any = None


class Executor(Protocol[Context_co]):
    """Runs tasks on workers, each with a context of its own."""

    def map(
        self, function: Callable[[Context_co, Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yields function(context, item) for each item, in the items' order."""


def create_executor(
    shared: SharedParams, build: Callable[[], Context]
) -> AbstractContextManager[Executor[Context]]:
    """Returns the executor that params.yaml asks for; `build` makes a worker's context, and must
    be picklable (a function or a partial).

    Raises UserError when they are a Dask cluster's and Dask is not installed or no scheduler
    answers.
    """
    if shared.executor == "process":
        return Processes(shared.workers, build)
    if shared.scheduler is None:
        raise UserError("params.yaml: scheduler: executor dask needs its address, tcp://host:8786")
    try:
        from wm.runtime.cluster import Cluster
    except ModuleNotFoundError as error:
        raise UserError(
            f"params.yaml: executor: dask needs {error.name}; "
            "pip install -c constraints.txt '.[cluster]'"
        ) from None
    # workers' GPUs are not compared with the client's: docs/teams.md says so
    precision = shared.precision if shared.device == "cpu" else "fp32"
    return Cluster(shared.scheduler, build, precision)


class Processes(Generic[Context]):
    """A pool of `workers` spawned processes (None: one a core), each with a context of its own.

    A context manager. Leaving it, also by Ctrl-C, ends the processes; they end themselves when
    this process is killed.
    """

    def __init__(self, workers: int | None, build: Callable[[], Context]) -> None:
        self._others = multiprocessing.active_children()
        try:
            self._pool = ProcessPoolExecutor(
                workers or cores.count(),
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start,
                initargs=(build,),
            )
        except OSError as error:
            raise UserError(
                f"workers cannot be started ({error.strerror}); they need semaphores, for which "
                "/dev/shm must be there and writable"
            ) from None

    def __enter__(self) -> Processes[Context]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # interrupted here, the pool would work off all of its tasks before this process could end
        with uninterrupted():
            if kind is not None:  # no one waits for the tasks under way any more
                for process in multiprocessing.active_children():
                    if process not in self._others:
                        process.terminate()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(
        self, function: Callable[[Context, Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yields function(context, item) for each item, in the items' order.

        An exception in a worker is raised here; a worker that died raises UserError.
        """
        try:
            # the first starts the workers, who inherit the mask: Ctrl-C is the parent's to handle,
            # and would end one that still imports with a traceback
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                futures = [self._pool.submit(_run, function, item) for item in items]
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for future in futures:
                yield future.result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process died (killed, or out of memory); run it again, it resumes; "
                "fewer 'workers' in params.yaml need less memory"
            ) from None


def _start(build: Callable[[], Any]) -> None:
    global _build
    _build = build
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _run(function: Callable[[Any, Item], Result], item: Item) -> Result:
    # built here and not in the initializer, whose exceptions the pool would swallow
    global _context
    with cores.core_lock():
        if _context is None:
            _context = _build()
        return function(_context, item)
