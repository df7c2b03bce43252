from pathlib import Path

import pytest

from wm.core import artifacts, processor
from wm.core.errors import UserError
from wm.core.params import SharedParams
from wm.nn import arithmetic

SHARED = SharedParams(vision="vae", scale="smoke", seed=0, precision="fp32", threads=1)


def test_only_another_arithmetic_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arithmetic.record(tmp_path, SHARED)
    arithmetic.compare([tmp_path, tmp_path / "none"], SHARED)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(processor, "kind", lambda _: "Maker AVX9")
    arithmetic.compare([tmp_path], SHARED)
    said = capsys.readouterr().err
    assert said.startswith(f"notice: {tmp_path} was computed in fp32 on ")
    assert "goes on in fp32 on Maker AVX9" in said
    assert said.count("\n") == 1


def test_another_precision_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arithmetic.record(tmp_path, SHARED)
    arithmetic.compare([tmp_path], SHARED.model_copy(update={"precision": "bf16"}))
    assert "computed in fp32" in capsys.readouterr().err


def test_what_a_gpu_computed_can_be_looked_at_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`costs` does so after results were pulled, and no stage before it has asked for the GPU."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    arithmetic.record(tmp_path, SHARED)
    arithmetic.compare([tmp_path], SHARED.model_copy(update={"device": "cuda"}))
    assert "this goes on in fp32 on no GPU" in capsys.readouterr().err


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / arithmetic.FILE).write_text("{")
    with pytest.raises(UserError, match=arithmetic.FILE):
        arithmetic.compare([tmp_path], SHARED)
    artifacts.write_json(tmp_path / arithmetic.FILE, [1])
    arithmetic.compare([tmp_path], SHARED)
