from pathlib import Path

import pytest

from wm.core import artifacts
from wm.runtime import perf
from wm.runtime.checkpoint import Checkpoint


@pytest.fixture(autouse=True)
def in_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def make(stage: str, content: str) -> None:
    """Puts a result of the stage in place."""
    file = Path(perf.RESULTS[stage])
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)


def test_rates_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with perf.measure("collect") as meter:
        meter.count("frames", 30)
        meter.count("frames", 20)
        clock[0] += 4
        make("collect", "one")
    record = artifacts.read_json(perf.PATH)["collect"]
    assert record["seconds"] == 4.0
    assert record["frames_per_second"] == 12.5
    assert 10 < record["peak_memory_mb"] < 100_000


def test_a_cost_stands_beside_its_own_result_alone() -> None:
    with perf.measure("encode"):
        make("encode", "of the VAE")
    first = artifacts.read_json(perf.PATH)
    with perf.measure("encode"):
        make("encode", "of the VAE-GAN")
    with perf.measure("train_rnn"):
        make("train_rnn", "after it")
    make("encode", "of the VAE")  # as DVC does, from its cache
    Path(perf.RESULTS["train_rnn"]).unlink()
    perf.update({})
    assert artifacts.read_json(perf.PATH) == first
    make("encode", "of a colleague's")
    perf.update({})
    assert artifacts.read_json(perf.PATH) == {}


def test_an_attempt_that_had_nothing_left_to_do_lowers_no_peak() -> None:
    with perf.measure("encode"):
        make("encode", "one")
    path = Path("checkpoints/costs.json")
    costs = artifacts.read_json(path)
    (record,) = costs["encode"].values()
    record["peak_memory_mb"] = 1e6
    artifacts.write_json(path, costs)
    with perf.measure("encode"):
        make("encode", "one")
    assert artifacts.read_json(perf.PATH)["encode"]["peak_memory_mb"] == 1e6


def test_a_committed_cost_stays_in_a_clone_that_has_its_result() -> None:
    make("encode", "committed")
    record = {"result": perf.digest(b"committed"), "seconds": 3.0}
    artifacts.write_json(perf.PATH, {"encode": record})
    with perf.measure("collect"):
        make("collect", "of this machine")
    assert artifacts.read_json(perf.PATH)["encode"] == record


def test_seconds_of_an_earlier_attempt_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with pytest.raises(KeyboardInterrupt), Checkpoint("collect", {}, []) as checkpoint:
        clock[0] += 60
        checkpoint.save({})
        raise KeyboardInterrupt
    with Checkpoint("collect", {}, []) as checkpoint, perf.measure("collect", checkpoint.elapsed):
        checkpoint.load()
        clock[0] += 5
        make("collect", "one")
    assert artifacts.read_json(perf.PATH)["collect"]["seconds"] == 65.0


def test_a_failed_stage_leaves_no_record() -> None:
    with pytest.raises(RuntimeError), perf.measure("collect"):
        raise RuntimeError
    assert not perf.PATH.exists()


RESULT = perf.digest(b"one")


@pytest.mark.parametrize("content", [
    "<<<<<<< HEAD", "[]", "null", '{"encode": {"seconds": NaN}}',
    '{"collect": {"result": ["a"]}}', f'{{"collect": {{"{RESULT}": 5}}}}',
    f'{{"collect": {{"result": "{RESULT}", "peak_memory_mb": "x"}}}}',
    f'{{"collect": {{"{RESULT}": {{"result": "{RESULT}", "peak_memory_mb": "x"}}}}}}',
])  # fmt: skip
@pytest.mark.parametrize("file", ["metrics/perf.json", "checkpoints/costs.json"])
def test_a_damaged_record_costs_no_finished_stage(content: str, file: str) -> None:
    Path(file).parent.mkdir()
    Path(file).write_text(content)
    with perf.measure("collect"):
        make("collect", "one")
    assert list(artifacts.read_json(perf.PATH)) == ["collect"]


@pytest.mark.parametrize("folder", ["metrics", "checkpoints"])
def test_a_record_that_cannot_be_written_costs_no_finished_stage(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(folder).symlink_to("nowhere")
    with perf.measure("film"):
        make("film", "one")
    printed = capsys.readouterr().err
    assert printed.startswith("notice: what film cost is not kept: ")
    assert folder in printed
    assert printed.count("\n") == 1
