import os
import signal

import pytest

from wm import stage
from wm.errors import UserError


def test_a_user_error_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        raise UserError("params.yaml: seed: missing")

    with pytest.raises(SystemExit) as exit_:
        stage.main(run)
    assert exit_.value.code == 1
    assert capsys.readouterr().err == "error: params.yaml: seed: missing\n"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signals_unwind_and_say_that_it_resumes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned = []

    def run() -> None:
        try:
            os.kill(os.getpid(), getattr(signal, name))
            signal.pause()
        finally:
            cleaned.append(True)

    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as exit_:
            stage.main(run)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert exit_.value.code == 130
    assert cleaned
    assert "resumes" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        stage.main(lambda: print(1 / 0))
