"""A real Dask scheduler and its workers: order, contexts, and what comes and goes."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from tests.runtime.tasks import build, die, fail, mark, refuse, square
from tests.servers import Dask
from verify.workspace import ROOT
from wm.core.errors import UserError
from wm.core.params import SharedParams
from wm.runtime import cluster
from wm.runtime.cluster import Cluster
from wm.runtime.executor import create_executor

NO_SCHEDULERS = [
    *("", " ", "tcp://", "tls://", "ws://", "ucx://", "://", "tcp://tcp://127.0.0.1:1"),
    *("127.0.0.1", "tcp://:8786", "tcp://127.0.0.1:0", "tcp://127.0.0.1:99999"),
    *(
        "tcp://127.0.0.1:abc",
        "tcp://[::1:8786",
        " tcp://127.0.0.1:1",
        "inproc://x",
        "inproc://1/1/1",
    ),
    *("http://127.0.0.1:8787", "ucx://127.0.0.1:1", "tls://127.0.0.1:1", "tcp://127.0.0.1:1"),
    *("tcp://\0:1", "tcp://a\nb\x1b[31m:1", "tcp://ü..x:1", f"tcp://{'a' * 10_000}:1"),
    "tcp://no-such-host.invalid:8786",
]
ANSWERS = {
    "silent": b"",
    "a web server's": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "an SSH server's": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a frame of nothing": bytes(8),
    "a frame of nonsense": (8).to_bytes(8, "little") + b"\xff" * 8,
    "a frame cut short": (1000).to_bytes(8, "little"),
}
TRY = """
import json, sys, time
from wm.core.errors import UserError
from wm.runtime import cluster

cluster.CONNECT = 1
for address in json.loads(sys.argv[1]):
    before = time.monotonic()
    try:
        cluster.Cluster(address, list, "fp32")
    except UserError as error:
        print(error, file=sys.stderr)
    assert time.monotonic() - before < 30, address
"""
"""A process that says of each address in turn, and at its end, what a stage would."""

SHARED = SharedParams(vision="vae", scale="smoke", seed=0, precision="fp32", threads=1)


@pytest.fixture
def dask() -> Iterator[Dask]:
    servers = Dask(ROOT)
    yield servers
    servers.stop()


def test_results_come_in_order_and_a_context_is_built_once_a_worker(dask: Dask) -> None:
    for _ in range(3):
        dask.add_worker()
    dask.wait_for(3)
    shared = SHARED.model_copy(update={"executor": "dask", "scheduler": dask.address})
    with create_executor(shared, build) as workers:
        results = list(workers.map(square, range(60)))
        calls: dict[int, list[int]] = {}
        for _, process, call, _ in results:
            calls.setdefault(process, []).append(call)
        assert [value for value, *_ in results] == [i * i for i in range(60)]
        assert {folder for *_, folder in results} == {os.getcwd()}
        assert len(calls) == 3
        for numbers in calls.values():
            assert sorted(numbers) == list(range(1, len(numbers) + 1))
        with pytest.raises(UserError, match="models/rnn: not found"):
            list(workers.map(refuse, [1]))
        for number in (errno.ENOSPC, errno.ETIMEDOUT):  # the second is a TimeoutError
            with pytest.raises(OSError, match=re.escape(os.strerror(number))):
                list(workers.map(fail, [number]))
        assert [value for value, *_ in workers.map(square, [3])] == [9]
    # the same workers, another client: a context of its own
    with create_executor(shared, build) as workers:
        assert next(iter(workers.map(square, [1])))[2] == 1


def test_a_worker_that_is_killed_and_one_that_joins(dask: Dask, tmp_path: Path) -> None:
    first = dask.add_worker()
    dask.add_worker()
    dask.wait_for(2)
    deadline = time.monotonic() + 60

    def change() -> None:
        while not list(tmp_path.glob(f"*-{first.pid}")) and time.monotonic() < deadline:
            time.sleep(0.01)
        first.kill()
        dask.add_worker()

    changing = threading.Thread(target=change)
    changing.start()
    with Cluster(dask.address, build, "fp32") as workers:
        results = list(workers.map(mark, [(str(tmp_path), i) for i in range(40)]))
    changing.join()
    assert results == list(range(40))
    assert {path.name.split("-")[1] for path in tmp_path.iterdir()} == {
        str(worker.pid) for worker in dask.workers
    }


def test_a_lost_scheduler_is_a_user_error(dask: Dask, tmp_path: Path) -> None:
    dask.add_worker()
    with Cluster(dask.address, build, "fp32") as workers:
        results = workers.map(mark, [(str(tmp_path), i) for i in range(40)])
        assert next(results) == 0
        dask.scheduler.kill()
        dask.scheduler.wait()
        with pytest.raises(UserError, match="lost; start it"):
            list(results)
    dask.start_scheduler()
    dask.add_worker()
    with Cluster(dask.address, build, "fp32") as workers:
        assert list(workers.map(mark, [(str(tmp_path), 7)])) == [7]


def test_a_task_that_ends_every_worker_is_a_user_error(dask: Dask) -> None:
    for _ in range(5):
        dask.add_worker()
    with (
        Cluster(dask.address, build, "fp32") as workers,
        pytest.raises(UserError, match="ended every worker"),
    ):
        list(workers.map(die, [1]))


def test_the_digest_of_the_code_sees_every_room(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "wm", tmp_path / "wm", ignore=shutil.ignore_patterns("__pycache__"))

    def code() -> str:
        command = [sys.executable, "-c", "from wm.runtime.cluster import CODE; print(CODE)"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert code() == cluster.CODE
    (tmp_path / "wm/core/.#params.py").symlink_to("somebody@nowhere.1")  # as Emacs locks a file
    assert code() == cluster.CODE
    with (tmp_path / "wm/env/fast/track.py").open("a") as file:
        file.write("# edited\n")
    assert code() != cluster.CODE


def test_the_digest_of_the_code_sees_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "versions", lambda: "numpy=0")
    assert cluster._digest() != cluster.CODE


def test_nobody_there_is_a_user_error(dask: Dask, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"WAIT": 2, "POLL": 0.5}.items():
        monkeypatch.setattr(cluster, name, seconds)
    with (
        Cluster(dask.address, build, "fp32") as workers,
        pytest.raises(UserError, match="no worker for 2 s"),
    ):
        list(workers.map(square, [1]))
    monkeypatch.setattr(cluster, "CONNECT", 1)
    with pytest.raises(UserError, match="no Dask scheduler answers"):
        Cluster("tcp://127.0.0.1:1", build, "fp32")
    with pytest.raises(UserError, match="scheduler: executor dask needs its address"):
        create_executor(SHARED.model_copy(update={"executor": "dask"}), build)


def test_a_worker_outside_a_checkout_is_named(dask: Dask, tmp_path: Path) -> None:
    dask.add_worker(checkout=tmp_path)
    with (
        Cluster(dask.address, build, "fp32") as workers,
        pytest.raises(UserError, match="cannot import wm; start workers anew"),
    ):
        list(workers.map(square, [1]))


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [("OPENBLAS_NUM_THREADS", "3", "1"), ("NUMBA_DISABLE_JIT", "1", "")],
)
def test_a_worker_with_other_kernels_is_refused(
    name: str, value: str, wanted: str, dask: Dask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv(name, value)
        dask.add_worker()
    with (
        Cluster(dask.address, build, "fp32") as workers,
        pytest.raises(UserError, match=rf"its environment is not that .*{name}={wanted}"),
    ):
        list(workers.map(square, [1]))


def test_a_worker_on_another_kind_of_processor_is_refused_where_its_bytes_would_differ(
    dask: Dask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an Intel in an AMD's run: in bf16, not in fp32."""
    dask.add_worker()
    with Cluster(dask.address, build, "bf16") as workers:
        assert [value for value, *_ in workers.map(square, [2])] == [4]
    monkeypatch.setattr(cluster.processor, "name", lambda: "another")
    with (
        Cluster(dask.address, build, "bf16") as workers,
        pytest.raises(UserError, match=r"computes bf16 as .*, not as another; start workers anew"),
    ):
        list(workers.map(square, [1]))
    with Cluster(dask.address, build, "fp32") as workers:
        assert [value for value, *_ in workers.map(square, [2])] == [4]


def test_a_worker_of_several_threads_or_of_other_code_is_refused(
    dask: Dask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = dask.add_worker("--nthreads", "2")
    with Cluster(dask.address, build, "fp32") as workers:
        with pytest.raises(UserError, match="several threads"):
            list(workers.map(square, [1]))
        several.kill()
        shutil.copytree(ROOT / "wm", tmp_path / "wm")
        shutil.copytree(ROOT / "tests", tmp_path / "tests")
        shutil.copytree(ROOT / "verify", tmp_path / "verify")
        with (tmp_path / "tests/runtime/tasks.py").open("w") as file:
            file.write("")  # what is sent cannot even be loaded
        with (tmp_path / "wm/env/fast/environment.py").open("a") as file:
            file.write("# edited\n")
        other = dask.add_worker(checkout=tmp_path)
        with pytest.raises(UserError, match="other code"):
            list(workers.map(square, [1]))
        other.kill()
        dask.add_worker()
        assert [value for value, *_ in workers.map(square, [2])] == [4]
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    with Cluster(dask.address, build, "fp32") as workers:
        (tmp_path / "away").rmdir()
        with pytest.raises(UserError, match="away is not there"):
            list(workers.map(square, [1]))


def refused(addresses: list[str], before: str = "") -> list[str]:
    """Returns the reasons why `addresses` are no schedulers, a line each and nothing besides."""
    done = subprocess.run([sys.executable, "-c", before + TRY, json.dumps(addresses)], cwd=ROOT,
                          capture_output=True, text=True, timeout=200)  # fmt: skip
    lines = done.stderr.splitlines()
    assert len(lines) == len(addresses), done.stderr
    for line, address in zip(lines, addresses, strict=True):
        no_scheduler = f"params.yaml: scheduler: no Dask scheduler answers at {address!r:.100} ("
        assert line.startswith(no_scheduler)
        assert line.endswith("such as tcp://host:8786, or set executor to process")
        assert len(line) < 500
    assert (done.returncode, done.stdout) == (0, "")
    return lines


def test_an_address_that_is_no_schedulers_is_one_line_and_the_end() -> None:
    lines = dict(zip(NO_SCHEDULERS, refused(NO_SCHEDULERS), strict=True))
    assert "unknown address scheme 'http'" in lines["http://127.0.0.1:8787"]
    assert "missing port number" in lines["127.0.0.1"]
    assert "check your TLS configuration" in lines["tls://127.0.0.1:1"]
    assert "Connection refused" in lines["tcp://127.0.0.1:1"]


CUT_OFF = """
import distributed.comm.core

async def cut_off(attempt, timeout):
    attempt.close()
    raise TimeoutError

distributed.comm.core.wait_for = cut_off
"""
CANCELLED = """
import asyncio
import distributed.comm.core

async def cut_off(attempt, timeout):
    attempt.close()
    raise TimeoutError from asyncio.CancelledError()  # as asyncio.wait_for does

distributed.comm.core.wait_for = cut_off
"""
NO_ATTEMPT = """
import itertools
import distributed.comm.core

clock = itertools.count(step=100)
distributed.comm.core.time = lambda: next(clock)
"""


@pytest.mark.parametrize(
    "before", [CUT_OFF, CANCELLED, NO_ATTEMPT], ids=["cut off", "cancelled", "no attempt"]
)
def test_a_refusal_is_said_where_the_deadline_came_before_an_attempts_end(before: str) -> None:
    assert "Connection refused" in refused(["tcp://127.0.0.1:1"], before=before)[0]


@contextlib.contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """Yields the port of a server that answers so to whatever connects; with None, that closes."""
    held = []

    def serve() -> None:
        with contextlib.suppress(OSError):  # closed below
            while True:
                connection, _ = server.accept()
                if answer is None:
                    connection.close()
                else:
                    connection.sendall(answer)
                    held.append(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            serving.join()
            for connection in held:
                connection.close()


@contextlib.contextmanager
def unreachable() -> Iterator[int]:
    """Yields a port that takes up no connection: its queue of one is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_whatever_else_answers_or_does_not_is_one_line_and_the_end(dask: Dask) -> None:
    dask.add_worker()
    dask.wait_for(1)
    with Client(dask.address, set_as_default=False) as client:
        addresses = list(client.nthreads())  # of the worker
    with contextlib.ExitStack() as stack:
        for answer in (*ANSWERS.values(), None):
            port = stack.enter_context(answering(answer))
            addresses.append(f"tcp://127.0.0.1:{port}")
            if answer in (None, b"", ANSWERS["a web server's"]):
                addresses.append(f"ws://127.0.0.1:{port}")
        addresses.append(f"tcp://127.0.0.1:{stack.enter_context(unreachable())}")
        reasons = dict(zip(addresses, refused(addresses), strict=True))
        dask.scheduler.send_signal(signal.SIGSTOP)
        reasons[dask.address] = refused([dask.address])[0]
    assert "nothing within 1 s" in reasons[addresses[1]]
    assert "nothing within 1 s" in reasons[dask.address]


def test_a_name_server_that_is_silent_holds_up_nothing() -> None:
    silent = """
import socket, time

known = socket.getaddrinfo

def getaddrinfo(*arguments, flags=0, **others):
    if not flags:  # Dask tries numbers first
        time.sleep(100)
    return known(*arguments, flags=flags, **others)

socket.getaddrinfo = getaddrinfo
"""
    assert "nothing within 1 s" in refused(["tcp://head:8786"], before=silent)[0]
