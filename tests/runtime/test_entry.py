import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml

from verify.workspace import ROOT
from wm.core.errors import UserError
from wm.runtime.entry import command, main


def test_a_user_error_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        raise UserError("params.yaml: seed: missing")

    with pytest.raises(SystemExit) as exit_:
        main(run)
    assert exit_.value.code == 1
    assert capsys.readouterr().err == "error: params.yaml: seed: missing\n"


@pytest.mark.parametrize(
    "refusal", [OSError(28, "No space left on device", "models/x"), MemoryError()]
)
def test_what_the_system_refuses_is_one_line(
    refusal: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        raise refusal

    with pytest.raises(SystemExit) as exit_:
        main(run)
    assert exit_.value.code == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1


@pytest.mark.parametrize("error", [UserError("environment: track seed 3"), OSError(5, "no")])
def test_a_developer_may_ask_for_the_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> None:
        raise error

    monkeypatch.setenv("WM_TRACEBACK", "1")
    for start in (main, command):
        with pytest.raises(type(error)):
            start(run)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("no such thing"), "error: no such thing"),
        (OSError(28, "No space left"), "error: [Errno 28] No space left"),
        (TimeoutError(), "error: TimeoutError"),
        (MemoryError(), "error: out of memory"),
        (RuntimeError("you can't allocate memory"), "error: you can't allocate memory"),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_command_ends_in_one_line_or_none(error: BaseException, code: str | int) -> None:
    def run() -> None:
        raise error

    with pytest.raises(SystemExit) as exit_:
        command(run)
    assert exit_.value.code == code


def test_a_tensor_too_large_for_memory_is_one_line_and_our_own_mistakes_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(lambda: torch.empty(2**50) and None)
    printed = capsys.readouterr().err
    assert "can't allocate memory" in printed
    assert printed.count("\n") == 1
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        main(lambda: torch.ones(2) @ torch.ones(3) and None)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Python's own handler for Ctrl-C, which a background job does not have; both put back."""
    names = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(name) for name in names]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for name, handler in zip(names, before, strict=True):
        signal.signal(name, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_signals_unwind_and_say_that_it_resumes(
    name: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned = []

    def run() -> None:
        try:
            os.kill(os.getpid(), name)
            time.sleep(10)
            raise AssertionError("the signal was ignored")
        finally:
            cleaned.append(True)

    with pytest.raises(SystemExit) as exit_:
        main(run)
    assert exit_.value.code == 130
    assert cleaned
    assert "run it again, long stages resume" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        main(lambda: print(1 / 0))


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_finished_stage_is_not_interrupted(name: signal.Signals) -> None:
    main(lambda: None)
    os.kill(os.getpid(), name)


OUTPUTS = sorted(
    {
        Path(out).parts[0]
        for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
        for out in stage.get("outs", [])
    }
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with two committed outputs, in which DVC runs a stage."""
    folder = tmp_path / "checkout"
    for name in ("metrics/collect.json", "plots/a curve.csv"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("as committed")
    for arguments in ("init -q", "add -A"):  # what is in the index is enough
        subprocess.run(["git", *arguments.split()], cwd=folder, check=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_STAGE", "collect")
    monkeypatch.setenv("DVC_ROOT", str(folder))
    return folder


def line_of(run: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> str:
    """What `main` prints, which must be one line, on its way to another exit status than 0."""
    with pytest.raises(SystemExit):
        main(run)
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    return printed


def fail() -> None:
    raise UserError("params.yaml: seed: missing")


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_folder_that_dvc_would_refuse_is_named_before_the_work(
    output: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / output).symlink_to(checkout.parent)
    line = line_of(lambda: pytest.fail("the stage ran"), capsys)
    assert line.startswith(f"error: {output}: a link out of this repository")
    assert "dvc cache dir --local" in line


@pytest.mark.usefixtures("handlers")
def test_links_that_dvc_does_not_refuse_are_left_alone(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "disk").mkdir()
    (checkout / "models").symlink_to("disk")
    (checkout / "checkpoints").symlink_to(checkout.parent)
    main(lambda: None)
    (checkout / "data").symlink_to(checkout.parent)
    shutil.rmtree(checkout / ".git")  # core.no_scm
    main(lambda: None)
    subprocess.run(["git", "init", "-q"], cwd=checkout, check=True)
    monkeypatch.delenv("DVC_STAGE")  # by hand
    main(lambda: None)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("error", [UserError("no"), OSError(5, "no"), KeyboardInterrupt()])
def test_an_error_says_how_to_bring_back_what_dvc_has_deleted(
    error: BaseException, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        raise error

    assert "git" not in line_of(run, capsys)
    shutil.rmtree(checkout / "plots")
    command = "git checkout -- 'plots/a curve.csv'"
    assert f"; DVC has deleted outputs: `{command}` brings them back" in line_of(run, capsys)
    subprocess.run(shlex.split(command), cwd=checkout, check=True)
    assert "git" not in line_of(run, capsys)


@pytest.mark.parametrize("where", ["by hand", "temporary copy", "no git", "no repository", "link"])
def test_nothing_is_to_be_brought_back(
    where: str,
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plots = (checkout / "plots").rename(checkout.parent / "plots")
    if where == "by hand":
        monkeypatch.delenv("DVC_ROOT")
    elif where == "temporary copy":
        monkeypatch.setenv("DVC_ROOT", str(checkout.parent))
    elif where == "no git":
        monkeypatch.setenv("PATH", "")
    elif where == "no repository":
        shutil.rmtree(checkout / ".git")
    else:
        (checkout / "plots").symlink_to(plots)
    assert line_of(fail, capsys) == "error: params.yaml: seed: missing\n"
