import pytest

from wm.runtime.progress import Progress


def test_plain_lines_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with Progress("train_vae", 100, "steps", done=20) as progress:
        for _ in range(40):
            clock[0] += 1
            progress.advance(1, loss=0.5)
    lines = capsys.readouterr().err.splitlines()
    # 20 steps of an earlier attempt count as done, but not in the rate
    assert lines == [
        "train_vae: 50/100 steps, 1.0/s, 50 s left  loss 0.5",
        "train_vae: 60/100 steps, 1.0/s  loss 0.5",
    ]


def test_what_is_interrupted_says_what_was_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with pytest.raises(KeyboardInterrupt), Progress("train_vae", 100, "steps") as progress:
        clock[0] += 10
        progress.advance(20)
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "train_vae: 20/100 steps, 2.0/s, 40 s left\n"


def test_what_is_slower_than_one_a_second_shows_how_long_one_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with Progress("train_controller", 10, "generations") as progress:
        clock[0] += 40
        progress.advance(2)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "train_controller: 2/10 generations, 20.0 s each"


def test_what_is_done_already_has_neither_a_rate_nor_a_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for total in (6, 0):
        with Progress("collect", total, "episodes", done=total):
            pass
    assert capsys.readouterr().err.splitlines() == [
        "collect: 6/6 episodes",
        "collect: 0/0 episodes",
    ]
