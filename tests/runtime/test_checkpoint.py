import builtins
import hashlib
import io
import os
import pickle
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import IO, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verify.workspace import ROOT
from wm.core.errors import UserError
from wm.runtime.checkpoint import Checkpoint, JsonSerializer, Serializer
from wm.runtime.torch_serializer import TorchSerializer

PACKAGE = ROOT / "wm"
WITH_WM = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}


@pytest.fixture(autouse=True)
def in_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


SERIALIZERS = pytest.mark.parametrize(
    "serializer", [JsonSerializer(), TorchSerializer()], ids=["JSON", "torch"]
)
"""Both ways to store a state."""


def interrupted(state: dict[str, Any], serializer: Serializer | None = None) -> None:
    """Saves `state` in a stage that then is interrupted."""
    with (
        pytest.raises(KeyboardInterrupt),
        Checkpoint("stage", {"a": 1}, [], serializer) as checkpoint,
    ):
        assert checkpoint.load() is None
        checkpoint.save(state)
        raise KeyboardInterrupt


def test_saved_state_comes_back_and_success_removes_it() -> None:
    interrupted({"rows": [{"step": 1, "done": True}], "best": None})
    with Checkpoint("stage", {"a": 1}, []) as checkpoint:
        assert checkpoint.load() == {"rows": [{"step": 1, "done": True}], "best": None}
    assert not checkpoint.directory.exists()


def test_saved_tensors_come_back_and_success_removes_them() -> None:
    interrupted({"weights": torch.arange(3), "rows": [{"step": 1}]}, TorchSerializer())
    with Checkpoint("stage", {"a": 1}, [], TorchSerializer()) as checkpoint:
        state = checkpoint.load()
        assert state is not None
        assert torch.equal(state["weights"], torch.arange(3))
        assert state["rows"] == [{"step": 1}]
    assert not checkpoint.directory.exists()


FLOATS = [0.1, -0.0, 1 / 3, 5e-324, sys.float_info.min, sys.float_info.max, float("inf")]


@SERIALIZERS
@pytest.mark.at_large
@given(drawn=st.lists(st.floats(allow_nan=False), max_size=20))
def test_numbers_come_back_bit_for_bit(serializer: Serializer, drawn: list[float]) -> None:
    numbers = FLOATS + drawn
    state = serializer.loads(serializer.dumps({"rows": numbers}))
    assert struct.pack(f"{len(numbers)}d", *state["rows"]) == struct.pack(
        f"{len(numbers)}d", *numbers
    )


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
def test_tensors_come_back_bit_for_bit(kind: torch.dtype) -> None:
    whole = {torch.float64: torch.int64, torch.float32: torch.int32, torch.bfloat16: torch.int16}
    limits = torch.iinfo(whole[kind])
    drawn = torch.randint(
        limits.min, limits.max, (1000,), dtype=whole[kind], generator=torch.Generator()
    )  # not finite in places
    saved = TorchSerializer().dumps({"weights": drawn.view(kind)})
    weights = TorchSerializer().loads(saved)["weights"]
    assert weights.dtype == kind
    assert torch.equal(weights.view(whole[kind]), drawn)


def test_tensors_are_not_json() -> None:
    with (
        pytest.raises(TypeError, match="Tensor is not JSON"),
        Checkpoint("stage", {}, []) as checkpoint,
    ):
        checkpoint.save({"weights": torch.arange(3)})


def test_other_params_or_inputs_never_see_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "x").write_text("1")

    def where(**key: Any) -> Path:
        return Checkpoint("stage", key, [folder]).directory

    first = where(a=1)
    assert where(a=1) == first
    assert where(a=2) != first
    assert where(phases={"z": 1, "h": 2}) != where(phases={"h": 2, "z": 1})
    (folder / "x").write_text("2")
    assert where(a=1) != first


def test_another_kind_of_processor_sees_it_where_it_computes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training half of whose steps are another machine's is neither's."""

    monkeypatch.setattr("wm.core.processor.INFO", tmp_path / "cpuinfo")

    def where(maker: str, **key: str) -> Path:
        (tmp_path / "cpuinfo").write_text(f"vendor_id : {maker}\nflags : avx2 avx512bw\n")
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: f"{maker}'s GPU")
        return Checkpoint("stage", key, []).directory

    fp32, bf16 = {"precision": "fp32", "device": "cpu"}, {"precision": "bf16", "device": "cpu"}
    for key, same in (({}, True), (fp32, True), (bf16, False), (fp32 | {"device": "cuda"}, False)):
        assert (where("AMD", **key) == where("Intel", **key)) == same


def test_other_versions_of_libraries_never_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Checkpoint("stage", {}, []).directory
    monkeypatch.setattr("wm.runtime.checkpoint.versions", lambda: "numpy=0")
    assert Checkpoint("stage", {}, []).directory != first


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


HOLD = """
import signal
from wm.runtime.checkpoint import Checkpoint
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a shell, wherever the tests run
with Checkpoint("stage", {}, []) as checkpoint:
    print(checkpoint.load(), flush=True)
    checkpoint.save({"step": 1})
    if input() == "fail":
        raise KeyError
"""


def start() -> subprocess.Popen[str]:
    """A process of the stage that says what it has found, and ends when it is told how."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD], env=WITH_WM, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def first_line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


@pytest.mark.parametrize("end", ["succeed", "fail", "killed"])
def test_a_second_process_waits_and_goes_on_with_the_state(end: str, tmp_path: Path) -> None:
    with start() as first:
        assert first_line(first.stdout) == "None\n"
        with start() as second:
            said = first_line(second.stderr)
            (folder,) = (tmp_path / "checkpoints").iterdir()
            assert said == (
                f"notice: checkpoints/{folder.name}: another process runs this stage with the same "
                "parameters; waiting for it, Ctrl-C ends the wait\n"
            )
            if end == "succeed":
                time.sleep(2.5)  # more than two looks
            if end == "killed":
                first.kill()
            first.communicate(end)
            assert first_line(second.stdout) == "{'step': 1}\n"
            assert second.communicate("succeed") == ("", "")  # told once
            assert second.returncode == 0
    assert not folder.exists()


def test_the_wait_for_a_second_process_can_be_ended() -> None:
    with start() as first:
        assert first_line(first.stdout) == "None\n"
        with start() as second:
            assert "another process" in first_line(second.stderr)
            second.send_signal(signal.SIGINT)
            assert second.communicate(timeout=60)[1].endswith("KeyboardInterrupt\n")
        first.communicate("succeed")
    assert first.returncode == 0


def test_who_comes_when_the_state_is_gone_starts_anew() -> None:
    for _ in range(2):
        with start() as process:
            assert process.communicate("succeed") == ("None\n", "")


def edit(file: Path) -> None:
    with file.open("a") as code:
        code.write("# edited\n")


def test_other_code_never_sees_it_unless_it_changes_no_result(tmp_path: Path) -> None:
    """A layer of another shape, for instance, could not load it."""
    for package in (PACKAGE, ROOT / "stages", ROOT / "rounds"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, tmp_path / package.name, ignore=ignored)
    where = (
        "from rounds import begin\n"
        "from stages import costs\n"
        "from wm.core import shards\n"
        "from wm.runtime import cores, progress\n"
        "from wm.runtime.checkpoint import Checkpoint\n"
        "print(Checkpoint('stage', {}, []).directory)"
    )

    def directory() -> bytes:
        command = [sys.executable, "-c", where]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout

    before = directory()
    edit(tmp_path / "wm/report/figures.py")  # which is not imported
    for room in ("cores", "progress", "checkpoint", "__init__"):
        edit(tmp_path / f"wm/runtime/{room}.py")
    assert directory() == before
    seen = {before}
    # the second one of these is imported by another file
    for file in ("wm/core/shards.py", "wm/core/artifacts.py", "stages/costs.py", "rounds/begin.py"):
        edit(tmp_path / file)
        now = directory()
        assert now not in seen, file
        seen.add(now)


def signed(body: bytes) -> bytes:
    """The bytes with their digest, as somebody could make them."""
    return hashlib.sha256(body).digest() + body


@SERIALIZERS
def test_a_damaged_file_is_named_and_nothing_is_executed(
    serializer: Serializer, tmp_path: Path
) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"state": Hostile(), "elapsed": 0.0}, hostile := io.BytesIO())
    bodies = [b"", b"garbage", pickle.dumps(Hostile()), hostile.getvalue(), b"[1]",
              b'{"elapsed": 1}', b'{"state": {}, "elapsed": []}', b"[" * 100_000]  # fmt: skip
    with Checkpoint("stage", {}, [], serializer) as checkpoint:
        for content in [*bodies, *map(signed, bodies)]:
            (checkpoint.directory / "state").write_bytes(content)
            with (
                warnings.catch_warnings(action="ignore"),  # torch's, of pickles it does not know
                pytest.raises(UserError, match=r"state: damaged") as error,
            ):
                checkpoint.load()
            assert "\n" not in str(error.value)
    assert not (tmp_path / "executed").exists()


@SERIALIZERS
@pytest.mark.at_large
@given(data=st.data())
def test_a_changed_byte_is_noticed(serializer: Serializer, data: st.DataObject) -> None:
    with Checkpoint("stage", {}, [], serializer) as checkpoint:
        tensors = isinstance(serializer, TorchSerializer)
        checkpoint.save({"weights": torch.arange(3) if tensors else [0.5, 1, 2]})
        file = checkpoint.directory / "state"
        raw = bytearray(file.read_bytes())  # in JSON the seconds' digits are more or fewer
        raw[data.draw(st.integers(0, 10_000)) % len(raw)] ^= data.draw(st.integers(1, 255))
        file.write_bytes(raw)
        with pytest.raises(UserError, match=r"state: damaged"):
            checkpoint.load()


def saved(zipped: bool) -> bytes:
    """A state in torch's new or old form."""
    state = {"state": {"weights": torch.arange(3)}, "elapsed": 1.0}
    torch.save(state, buffer := io.BytesIO(), _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


STATES = [b"", saved(True), saved(False), b'{"state": {"rows": [1, {"a": 0.5}]}, "elapsed": 1.0}']
"""Made once: torch's old form names a tensor by its address, so another save has another length."""


@SERIALIZERS
@pytest.mark.at_large
@given(data=st.data())
def test_any_bytes_with_a_digest_are_refused_or_hold_a_state(
    serializer: Serializer, data: st.DataObject
) -> None:
    """From nothing, or from a state in torch's new or old form or in JSON."""
    with Checkpoint("stage", {}, [], serializer) as checkpoint:
        raw = bytearray(data.draw(st.sampled_from(STATES))) or bytearray(
            data.draw(st.binary(max_size=200))
        )
        for _ in range(data.draw(st.integers(0, 4)) if raw else 0):
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
        (checkpoint.directory / "state").write_bytes(signed(bytes(raw)))
        try:
            with warnings.catch_warnings(action="ignore"):  # torch's, of pickles it does not know
                checkpoint.load()
        except UserError as error:
            assert re.fullmatch(r".*state: damaged; .*", str(error))


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
        assert checkpoint.elapsed() == 42


def test_a_checkpoint_that_cannot_be_removed_costs_no_finished_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with Checkpoint("stage", {}, []) as checkpoint:
        checkpoint.save({"step": 3})
        monkeypatch.setattr(Path, "rename", refuse)
    expected = f"notice: {checkpoint.directory}: cannot be removed: Permission denied\n"
    assert capsys.readouterr().err == expected
    with Checkpoint("stage", {}, []) as again:
        assert again.load() == {"step": 3}


def test_a_file_system_without_locks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: IO[str], operation: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(UserError, match=r"lock: cannot be locked \(Function not implemented\)"),
        Checkpoint("stage", {}, []),
    ):
        pass
