"""Order, contexts, exceptions, and workers that die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wm.core.errors import UserError
from wm.runtime.executor import Processes


def build() -> dict[str, int]:
    return {"calls": 0}


def refuse() -> None:
    raise UserError("models/rnn: not found")


def square(context: dict[str, int], item: int) -> tuple[int, int]:
    context["calls"] += 1
    time.sleep(0.02 * (item % 2))
    return item * item, context["calls"]


def die(context: dict[str, int], item: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(context: dict[str, int], item: int) -> None:
    print(os.getpid(), flush=True)
    time.sleep(item)


def test_results_come_in_order_and_the_context_is_built_once_a_worker() -> None:
    for workers in (1, 2):
        with Processes(workers, build) as executor:
            results = list(executor.map(square, range(8)))
        assert [value for value, _ in results] == [i * i for i in range(8)]
        if workers == 1:
            assert [calls for _, calls in results] == list(range(1, 9))
        else:
            assert max(calls for _, calls in results) >= 4
    assert not multiprocessing.active_children()


def test_a_dead_worker_is_a_user_error() -> None:
    with pytest.raises(UserError, match="worker process died"), Processes(1, build) as executor:
        list(executor.map(die, [1]))
    assert not multiprocessing.active_children()


def test_a_context_that_cannot_be_built_reports_why() -> None:
    with pytest.raises(UserError, match="models/rnn: not found"), Processes(1, refuse) as executor:
        list(executor.map(square, [1]))  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_orphans_after_ctrl_c_or_a_kill(number: signal.Signals) -> None:
    script = (
        "from tests.runtime.test_executor import *\n"
        # a background job's children ignore Ctrl-C unless they say otherwise
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "if __name__ == '__main__':\n"
        "    with Processes(1, build) as executor: list(executor.map(sleep, [60]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.send_signal(number)
    process.wait(timeout=20)
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{worker}"):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


@pytest.mark.parametrize("after", [0.05, 0.1, 0.15, 0.2])
def test_ctrl_c_while_workers_start_is_one_line(after: float) -> None:
    """A terminal sends it to all of them, and Python's start would answer with a traceback."""
    script = (
        "from tests.runtime.test_executor import *\n"
        "from wm.runtime.entry import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def run():\n"
        "    with Processes(2, build) as executor: list(executor.map(sleep, [60, 60]))\n"
        "if __name__ == '__main__': main(run)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    while len(Path(children).read_text().split()) < 3:  # the resource tracker, and two workers
        time.sleep(0.001)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[1] == "interrupted: run it again, long stages resume\n"
    assert process.returncode == 130


def test_a_second_ctrl_c_while_workers_are_ended_ends_no_less() -> None:
    """Interrupted there, the pool would work off its tasks: ten of six seconds."""
    script = (
        "from tests.runtime.test_executor import *\n"
        "from wm.runtime.entry import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "children = multiprocessing.active_children\n"
        "def again():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return children()\n"
        "def run():\n"
        "    with Processes(1, build) as executor:\n"
        "        for _ in executor.map(sleep, [0, *[6] * 10]):\n"
        "            multiprocessing.active_children = again\n"
        "            raise KeyboardInterrupt\n"
        "if __name__ == '__main__': main(run)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          check=False, timeout=40)  # fmt: skip
    assert done.stderr == "interrupted: run it again, long stages resume\n"
    assert done.returncode == 130


def test_without_semaphores_the_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")  # as sem_open without /dev/shm

    monkeypatch.setattr("wm.runtime.executor.ProcessPoolExecutor", refuse)
    with pytest.raises(UserError, match=r"\(No such file or directory\).*/dev/shm must be there"):
        Processes(1, build)
