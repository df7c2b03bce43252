"""Real servers on loopback: for a shared cache S3 by rclone and SSH by OpenSSH's sshd, and Dask's
scheduler and workers."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from distributed import Client

import stages  # noqa: F401  fixes the kernels in the environment, which workers have to share

KEY, SECRET = "loopback-key", "loopback-secret"


@dataclass(frozen=True)
class Server:
    """A server that runs, and what a clone has to know of it."""

    url: str
    settings: dict[str, str]
    """Of `dvc remote modify --local`."""
    objects: Path
    """Where it keeps what is pushed to it."""


@contextlib.contextmanager
def s3(directory: Path) -> Iterator[Server]:
    (directory / "bucket").mkdir()
    port = _free_port()
    rclone = str(Path(sys.executable).with_name("rclone"))
    command = [rclone, "serve", "s3", str(directory), "--addr", f"127.0.0.1:{port}",
               "--auth-key", f"{KEY},{SECRET}", "--vfs-cache-mode", "off", "--dir-cache-time", "1s",
               "--config", str(directory / "none")]  # fmt: skip
    settings = {
        "endpointurl": f"http://127.0.0.1:{port}",
        "access_key_id": KEY,
        "secret_access_key": SECRET,
    }
    with _running(command, port, directory / "log"):
        yield Server("s3://bucket/cache", settings, directory / "bucket/cache")


@contextlib.contextmanager
def ssh(directory: Path) -> Iterator[Server]:
    sshd = shutil.which("sshd", path=os.defpath + ":/usr/sbin:/usr/local/sbin")
    if sshd is None:
        pytest.skip("no sshd: install openssh-server to test a cache that is shared over SSH")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd, as root, confines its children
    for name in ("host", "user"):
        generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
        subprocess.run(generate, check=True)
    port = _free_port()
    config = directory / "config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\n"
        f"AuthorizedKeysFile {directory}/user.pub\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPidFile none\nSubsystem sftp internal-sftp\n"
        "PermitRootLogin prohibit-password\n"
    )
    objects = directory / "cache"
    settings = {"user": getpass.getuser(), "port": str(port), "keyfile": str(directory / "user")}
    with _running([sshd, "-D", "-e", "-f", str(config)], port, directory / "log"):
        yield Server(f"ssh://127.0.0.1{objects}", settings, objects)


SERVERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Server]]] = {
    "s3": s3,
    "ssh": ssh,
}


@contextlib.contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(process, port, f"{command[0]}, see {log},")
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, name: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, f"{name} has ended"
        assert time.monotonic() < deadline, f"{name} does not answer"
        time.sleep(0.05)


class Dask:
    """A scheduler, and workers of one thread that run a checkout's code."""

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout
        self._port = _free_port()
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    def start_scheduler(self) -> None:
        self.scheduler = self._start("dask_scheduler", "--host", "127.0.0.1",
                                     "--port", str(self._port), checkout=Path("/"))  # fmt: skip
        _wait_for(self.scheduler, self._port, "the scheduler")

    def add_worker(self, *options: str, checkout: Path | None = None) -> subprocess.Popen[bytes]:
        worker = self._start("dask_worker", self.address, "--no-nanny",
                             *(options or ("--nthreads", "1")),
                             checkout=checkout or self._checkout)  # fmt: skip
        self.workers.append(worker)
        return worker

    def wait_for(self, workers: int) -> None:
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()

    def _start(
        self, program: str, *arguments: str, checkout: Path | None = None
    ) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--no-dashboard"]
        env = os.environ | {"PYTHONPATH": str(checkout or self._checkout)}
        # from elsewhere: a task must run in its client's folder
        return subprocess.Popen([*command, *arguments], cwd="/", env=env,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
