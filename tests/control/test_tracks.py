"""Which tracks come back."""

from wm.control.training.tracks import Drives, most_telling


def drives(**returns: list[float]) -> Drives:
    """Returns what two candidates drove on tracks of the names t<seed>."""
    seeds = [int(name[1:]) for name in returns]
    return Drives(seeds, [list(pair) for pair in zip(*returns.values(), strict=True)])


def test_the_greatest_spread_comes_first_whatever_the_returns() -> None:
    generation = drives(t1=[900.0, 910.0], t2=[-50.0, -40.0], t3=[200.0, 900.0])
    assert most_telling([generation], 1) == [3]
    assert most_telling([generation], 2) == [3, 1]  # the earlier of equals
    assert most_telling([generation], 9) == [3, 1, 2]
    assert most_telling([generation], 0) == most_telling([], 2) == []


def test_what_counts_is_a_track_s_last_drive() -> None:
    before = drives(t1=[0.0, 900.0], t2=[0.0, 500.0])
    learned = drives(t1=[900.0, 901.0], t3=[880.0, 900.0])
    assert most_telling([before, learned], 3) == [2, 3, 1]


def test_a_track_that_nobody_can_drive_does_not_come_back() -> None:
    assert most_telling([drives(t1=[-80.0, -80.0], t2=[890.0, 900.0])], 1) == [2]
