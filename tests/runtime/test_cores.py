"""Turns at the cores between runs that know nothing of each other."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wm.runtime import cores
from wm.runtime.executor import Processes


def build() -> None:
    return None


def spend(context: None, seconds: float) -> tuple[float, float]:
    start = time.monotonic()
    time.sleep(seconds)
    return start, time.monotonic()


def test_two_runs_never_work_on_more_than_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    turns: list[tuple[float, float]] = []

    def run() -> None:
        with Processes(None, build) as workers:
            turns.extend(workers.map(spend, [0.05] * 12))

    runs = [threading.Thread(target=run) for _ in range(2)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    at_work = [sum(a <= start < b for a, b in turns) for start, _ in turns]
    assert len(turns) == 24
    assert min(2, cores.count()) <= max(at_work) <= cores.count()


def test_a_killed_process_gives_its_core_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    code = (
        f"import os, tempfile, time; tempfile.tempdir = {str(tmp_path)!r}\n"
        "os.sched_getaffinity = lambda _: {0}\n"
        "from wm.runtime import cores\n"
        "with cores.core_lock(): print('mine', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    holder.stdout.readline()
    start = time.monotonic()
    threading.Timer(0.3, holder.kill).start()
    with cores.core_lock():
        assert time.monotonic() - start > 0.2
    holder.wait()


def test_without_room_for_it_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    with cores.core_lock():
        pass


def test_a_stopped_run_does_not_hold_up_others_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(cores, "PATIENCE", 0.2)
    monkeypatch.setattr(cores, "_patient", True)
    with cores.core_lock():
        start = time.monotonic()
        with cores.core_lock():
            assert time.monotonic() - start >= 0.2


def test_a_process_waits_that_long_once_and_says_for_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a run that was stopped with Ctrl-Z, each of hundreds of tasks would wait anew."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(cores, "NOTICE", 0.1)
    monkeypatch.setattr(cores, "PATIENCE", 0.3)
    monkeypatch.setattr(cores, "_patient", True)
    with cores.core_lock():
        start = time.monotonic()
        for _ in range(20):
            with cores.core_lock():
                pass
        assert 0.3 <= time.monotonic() - start < 5  # 20 waits would take six seconds
    (line,) = capsys.readouterr().err.splitlines()
    assert "workers of yours hold all cores, of this run or another" in line


def test_where_the_system_does_not_say_which_cores_all_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores.count() == os.cpu_count()
    with cores.core_lock():
        pass


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "max 100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ({}, 4),
    ],
)
def test_a_container_s_limit_counts(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert cores.count() == expected
    # and so many workers at once, of all runs
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(cores, "PATIENCE", 0.0)
    monkeypatch.setattr(cores, "_patient", True)
    held = [cores._acquire() for _ in range(5)]
    assert [file is not None for file in held] == [place < expected for place in range(5)]
    for file in held[:expected]:
        os.close(file)


def test_of_many_cores_one_file_is_held_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(300)))
    before = len(os.listdir("/proc/self/fd"))
    with cores.core_lock(), cores.core_lock():
        assert len(os.listdir("/proc/self/fd")) == before + 2
    assert len(os.listdir("/proc/self/fd")) == before
