import os
from pathlib import Path

import numpy as np
import pytest

from wm import artifacts
from wm.errors import UserError


def test_same_content_same_bytes(tmp_path: Path) -> None:
    tensors = {"b": np.arange(6.0).reshape(2, 3), "a": np.ones(3, np.uint8)}
    artifacts.save_tensors(tmp_path / "1", tensors)
    artifacts.save_tensors(tmp_path / "2", dict(reversed(tensors.items())))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    loaded = artifacts.load_tensors(tmp_path / "1")
    assert loaded.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype


@pytest.mark.parametrize("kept", [0, 4, 30, -1])
def test_a_file_cut_short_is_named(tmp_path: Path, kept: int) -> None:
    file = tmp_path / "x.safetensors"
    artifacts.save_tensors(file, {"a": np.arange(100)})
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"x\.safetensors: damaged or cut short"):
        artifacts.load_tensors(file)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone: not found"):
        artifacts.load_tensors(tmp_path / "gone")
    with pytest.raises(UserError, match="gone: not found"):
        artifacts.read_json(tmp_path / "gone")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "metrics.json"
    artifacts.write_json(file, {"a": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"metrics\.json.*No space left"):
        artifacts.write_json(file, {"a": 2})
    assert artifacts.read_json(file) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        artifacts.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_csv_keeps_the_columns_in_order(tmp_path: Path) -> None:
    artifacts.write_csv(tmp_path / "x.csv", [{"step": 1, "loss": 0.5}, {"step": 2, "late": 0.25}])
    assert (tmp_path / "x.csv").read_bytes() == b"step,loss,late\n1,0.5,\n2,,0.25\n"


def test_publish_replaces_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "models" / "vae"
    with artifacts.publish(out) as directory:
        (directory / "old").touch()
    with pytest.raises(RuntimeError), artifacts.publish(out) as directory:
        (directory / "half").touch()
        raise RuntimeError
    assert [path.name for path in out.iterdir()] == ["old"]
    with artifacts.publish(out) as directory:
        (directory / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]
    assert [path.name for path in out.parent.iterdir()] == ["vae"]
