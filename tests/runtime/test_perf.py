from pathlib import Path

import pytest

from wm.core import artifacts
from wm.runtime import perf
from wm.runtime.checkpoint import Checkpoint


@pytest.fixture(autouse=True)
def in_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def test_rates_memory_and_the_other_stages_record(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    artifacts.write_json(perf.PATH, {"train_rnn": {"seconds": 3.0}})
    with perf.measure("collect") as meter:
        meter.count("frames", 30)
        meter.count("frames", 20)
        clock[0] += 4
    record = artifacts.read_json(perf.PATH)
    assert record["train_rnn"] == {"seconds": 3.0}
    assert record["collect"]["seconds"] == 4.0
    assert record["collect"]["frames_per_second"] == 12.5
    assert 10 < record["collect"]["peak_memory_mb"] < 100_000


def test_seconds_of_an_earlier_attempt_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with pytest.raises(KeyboardInterrupt), Checkpoint("stage", {}, []) as checkpoint:
        clock[0] += 60
        checkpoint.save({})
        raise KeyboardInterrupt
    with Checkpoint("stage", {}, []) as checkpoint, perf.measure("stage", checkpoint.elapsed):
        checkpoint.load()
        clock[0] += 5
    assert artifacts.read_json(perf.PATH)["stage"]["seconds"] == 65.0


def test_a_failed_stage_leaves_no_record() -> None:
    with pytest.raises(RuntimeError), perf.measure("collect"):
        raise RuntimeError
    assert not perf.PATH.exists()


@pytest.mark.parametrize("content", ["<<<<<<< HEAD", "[]", "null", '{"encode": {"seconds": NaN}}'])
def test_a_damaged_record_costs_no_finished_stage(content: str) -> None:
    perf.PATH.parent.mkdir()
    perf.PATH.write_text(content)
    with perf.measure("collect"):
        pass
    assert list(artifacts.read_json(perf.PATH)) == ["collect"]
