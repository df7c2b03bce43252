import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify.workspace import ROOT
from wm.core import artifacts
from wm.core.errors import UserError


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


@pytest.mark.at_large
@given(data=st.data())
def test_a_changed_byte_is_noticed_or_changes_nothing(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    tensors = {"a": np.arange(6.0), "b": np.zeros((2, 1), np.float32)}
    file = tmp_path_factory.getbasetemp() / "x.safetensors"
    artifacts.save_tensors(file, tensors)
    raw = bytearray(file.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(raw)
    try:
        loaded = artifacts.load_tensors(file)
    except UserError as error:
        assert str(error).startswith(f"{file}: damaged")
        assert "\n" not in str(error)
    else:
        assert loaded.keys() == tensors.keys()
        for name, array in tensors.items():
            np.testing.assert_array_equal(loaded[name], array)
            assert loaded[name].dtype == array.dtype


@pytest.mark.at_large
@given(content=st.binary(max_size=400))
def test_any_bytes_are_refused(content: bytes, tmp_path_factory: Any) -> None:
    """As a file, and as a header of the right length."""
    file = tmp_path_factory.getbasetemp() / "x"
    for raw in (content, len(content).to_bytes(8, "little") + content):
        file.write_bytes(raw)
        with pytest.raises(UserError, match="x: damaged"):
            artifacts.load_tensors(file)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"9" * 5000])
def test_what_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.json: not valid JSON"):
        artifacts.read_json(tmp_path / "x.json")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone: not found"):
        artifacts.load_tensors(tmp_path / "gone")
    with pytest.raises(UserError, match="gone: not found"):
        artifacts.read_json(tmp_path / "gone")


def test_a_file_that_cannot_be_opened_is_not_called_missing(tmp_path: Path) -> None:
    """safetensors says "not found" of all such: one of another user's, too many open files."""
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"inside: cannot be read \(Not a directory\)$"):
        artifacts.load_tensors(tmp_path / "file" / "inside")


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


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_has_no_number_that_is_not_finite(tmp_path: Path, number: float) -> None:
    with pytest.raises(UserError, match=r"x\.json: 'a\.1\.b' is not a finite number"):
        artifacts.write_json(tmp_path / "x.json", {"c": 1.0, "a": [2, {"b": number}]})
    assert not (tmp_path / "x.json").exists()


def test_arrays_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    artifacts.save_tensors(tmp_path / "x", {"n": np.arange(3), "w": np.array([1.0, np.inf])})
    with pytest.raises(UserError, match="x: 'w' holds NaN or infinity"):
        artifacts.load_tensors(tmp_path / "x")


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


@pytest.mark.parametrize("mounted", [True, False])
def test_publish_replaces_a_link_and_leaves_nothing_of_it(tmp_path: Path, mounted: bool) -> None:
    elsewhere, out = tmp_path / "disk", tmp_path / "models"
    if mounted:
        elsewhere.mkdir()
        (elsewhere / "kept").touch()
    out.symlink_to(elsewhere)
    for name in ("first", "second"):
        with artifacts.publish(out) as directory:
            (directory / name).touch()
    assert [path.name for path in out.iterdir()] == ["second"]
    assert not out.is_symlink()
    assert (elsewhere / "kept").exists() == mounted
    assert {path.name for path in tmp_path.iterdir()} - {"disk"} == {"models"}


def test_publish_puts_the_old_folder_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, replace = tmp_path / "models", os.replace
    with artifacts.publish(out) as directory:
        (directory / "old").touch()

    def refuse(source: Path, target: Path) -> None:
        if source.suffix == ".tmp":
            raise OSError(5, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="Input/output"), artifacts.publish(out):
        pass
    assert [path.name for path in out.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


@pytest.mark.parametrize(("renames", "left"), [(1, "old"), (2, "new")])
def test_ctrl_c_between_the_renames_of_publish_leaves_one_of_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int, left: str
) -> None:
    out, replace, done = tmp_path / "models", os.replace, itertools.count(1)
    with artifacts.publish(out) as directory:
        (directory / "old").touch()

    def interrupted(source: Path, target: Path) -> None:
        replace(source, target)
        if next(done) == renames:  # Python raises it when the call has returned
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), artifacts.publish(out) as directory:
        (directory / "new").touch()
    assert [path.name for path in out.iterdir()] == [left]
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_publish_sweeps_up_after_a_process_that_was_killed(tmp_path: Path) -> None:
    command = (
        "import os; from wm.core import artifacts\n"
        "with artifacts.publish('models/vae') as directory:\n"
        "    (directory / 'half').touch(); os.kill(os.getpid(), 9)"
    )
    root = str(ROOT)
    subprocess.run(
        [sys.executable, "-c", command], cwd=tmp_path, env=os.environ | {"PYTHONPATH": root}
    )
    assert len(list((tmp_path / "models").iterdir())) == 1
    with artifacts.publish(tmp_path / "models/vae"):
        pass
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["vae"]
