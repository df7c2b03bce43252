import builtins
import hashlib
import io
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wm.errors import UserError
from wm.scratch import Checkpoint

PACKAGE = Path(__file__).parent.parent / "wm"
WITH_WM = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}


@pytest.fixture(autouse=True)
def in_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def test_saved_state_comes_back_and_success_removes_it() -> None:
    with pytest.raises(KeyboardInterrupt), Checkpoint("stage", {"a": 1}, []) as checkpoint:
        assert checkpoint.load() is None
        checkpoint.save({"weights": torch.arange(3), "rows": [{"step": 1}]})
        raise KeyboardInterrupt
    with Checkpoint("stage", {"a": 1}, []) as checkpoint:
        state = checkpoint.load()
        assert state is not None
        assert torch.equal(state["weights"], torch.arange(3))
        assert state["rows"] == [{"step": 1}]
    assert not checkpoint.directory.exists()


def test_other_params_or_inputs_never_see_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "x").write_text("1")

    def where(**key: int) -> Path:
        return Checkpoint("stage", key, [folder]).directory

    first = where(a=1)
    assert where(a=1) == first
    assert where(a=2) != first
    (folder / "x").write_text("2")
    assert where(a=1) != first


def test_a_missing_input_is_named() -> None:
    with pytest.raises(UserError, match="data/episodes: not found"):
        Checkpoint("train_vae", {}, ["data/episodes"])


def test_dvc_temporary_copies_share_the_users_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", "/workspace")
    assert Checkpoint("stage", {}, []).directory.parent == Path("/workspace/checkpoints")


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DiesHalfWay(io.FileIO):
    def write(self, content: Any) -> int:
        super().write(content[: len(content) // 2])
        die()
        raise AssertionError


def save_and_die(where: str) -> None:
    """Two states, the second never to the end."""
    with Checkpoint("stage", {}, []) as checkpoint:
        checkpoint.save({"step": 1})
        replace = os.replace
        if where == "write":
            builtins.open = lambda path, _: DiesHalfWay(path, "wb")  # type: ignore[assignment]
        elif where == "fsync":
            os.fsync = die
        elif where == "replace":
            os.replace = die  # type: ignore[assignment]
        else:
            os.replace = lambda old, new: (replace(old, new), die())  # type: ignore[assignment]
        checkpoint.save({"step": 2})


@pytest.mark.parametrize(
    ("where", "step"), [("write", 1), ("fsync", 1), ("replace", 1), ("after it", 2)]
)
def test_sigkill_inside_a_save_leaves_one_of_the_states(where: str, step: int) -> None:
    if (child := os.fork()) == 0:
        try:
            save_and_die(where)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with Checkpoint("stage", {}, []) as checkpoint:
        assert checkpoint.load() == {"step": step}
    assert not checkpoint.directory.exists()  # what was half written included


def test_a_second_process_is_refused() -> None:
    enter = "from wm.scratch import Checkpoint; c = Checkpoint('stage', {}, []); c.__enter__()"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{enter}; print('held', flush=True); input()"],
        env=WITH_WM, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        second = subprocess.run([sys.executable, "-c", enter], env=WITH_WM, capture_output=True)
        holder.kill()
    assert second.returncode == 1
    assert b"another process runs this stage" in second.stderr


def test_other_code_never_sees_it(tmp_path: Path) -> None:
    """A layer of another shape, for instance, could not load it."""
    shutil.copytree(PACKAGE, tmp_path / "wm")
    where = "from wm.scratch import Checkpoint; print(Checkpoint('stage', {}, []).directory)"

    def directory() -> bytes:
        command = [sys.executable, "-c", where]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout

    before = directory()
    with open(tmp_path / "wm/figures.py", "a") as unused:
        unused.write("# changed")
    assert directory() == before
    with open(tmp_path / "wm/scratch.py", "a") as used:
        used.write("# changed")
    assert directory() != before


def test_a_damaged_file_is_named_and_nothing_is_executed(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "executed"),)

    with Checkpoint("stage", {}, []) as checkpoint:
        for content in (b"", b"garbage", pickle.dumps(Hostile())):
            (checkpoint.directory / "state.pt").write_bytes(content)
            with pytest.raises(UserError, match=r"state\.pt: damaged"):
                checkpoint.load()
        torch.save({"state": Hostile(), "elapsed": 0.0}, hostile := io.BytesIO())
        signed = hashlib.sha256(hostile.getvalue()).digest() + hostile.getvalue()
        (checkpoint.directory / "state.pt").write_bytes(signed)
        with pytest.raises(UserError, match=r"state\.pt: damaged"):
            checkpoint.load()
    assert not (tmp_path / "executed").exists()


@pytest.mark.at_large
@given(data=st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    with Checkpoint("stage", {}, []) as checkpoint:
        checkpoint.save({"weights": torch.arange(3)})
        file = checkpoint.directory / "state.pt"
        raw = bytearray(file.read_bytes())
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(raw)
        with pytest.raises(UserError, match=r"state\.pt: damaged"):
            checkpoint.load()


def saved(zipped: bool) -> bytes:
    """A state in torch's new or old form."""
    state = {"state": {"weights": torch.arange(3)}, "elapsed": 1.0}
    torch.save(state, buffer := io.BytesIO(), _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


STATES = [b"", saved(True), saved(False)]
"""Made once: the old form names a tensor by its address, so another save has another length."""


@pytest.mark.at_large
@given(data=st.data())
def test_any_bytes_with_a_digest_are_refused_or_hold_a_state(data: st.DataObject) -> None:
    """As somebody could make them: from nothing, or from a state in torch's new or old form."""
    with Checkpoint("stage", {}, []) as checkpoint:
        raw = bytearray(data.draw(st.sampled_from(STATES))) or bytearray(
            data.draw(st.binary(max_size=200))
        )
        for _ in range(data.draw(st.integers(0, 4)) if raw else 0):
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        (checkpoint.directory / "state.pt").write_bytes(hashlib.sha256(raw).digest() + raw)
        try:
            with warnings.catch_warnings(action="ignore"):  # torch's, of pickles it does not know
                checkpoint.load()
        except UserError as error:
            assert re.fullmatch(r".*state\.pt: damaged; .*", str(error))


def test_elapsed_counts_earlier_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with pytest.raises(KeyboardInterrupt), Checkpoint("stage", {}, []) as checkpoint:
        clock[0] += 40
        assert checkpoint.due()
        checkpoint.save({})
        assert not checkpoint.due()
        clock[0] += 1000  # lost: killed before the next save
        raise KeyboardInterrupt
    with Checkpoint("stage", {}, []) as checkpoint:
        checkpoint.load()
        clock[0] += 2
        assert checkpoint.elapsed == 42
