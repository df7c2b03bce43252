import os
import signal
import time
from collections.abc import Iterator

import pytest
import torch

from wm.core.errors import UserError
from wm.runtime.entry import main


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
    with pytest.raises(type(error)):
        main(run)


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
    assert "resumes" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        main(lambda: print(1 / 0))


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_finished_stage_is_not_interrupted(name: signal.Signals) -> None:
    main(lambda: None)
    os.kill(os.getpid(), name)
