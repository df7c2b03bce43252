"""Parts of fixed size, in order."""

import numpy as np
import pytest

from wm.core.shards import shards


@pytest.mark.parametrize(("length", "sizes"), [(0, []), (2, [2]), (3, [3]), (7, [3, 3, 1])])
def test_parts_are_of_the_size_but_for_the_last(length: int, sizes: list[int]) -> None:
    parts = shards(list(range(length)), 3)
    assert [len(part) for part in parts] == sizes
    assert [item for part in parts for item in part] == list(range(length))


def test_a_range_stays_a_range_and_an_array_is_cut_by_rows() -> None:
    assert shards(range(4, 9), 2) == [range(4, 6), range(6, 8), range(8, 9)]
    whole = np.arange(10).reshape(5, 2)
    parts = shards(whole, 2)
    assert [part.tolist() for part in parts] == [[[0, 1], [2, 3]], [[4, 5], [6, 7]], [[8, 9]]]


def test_a_part_does_not_depend_on_what_follows_it() -> None:
    assert shards(range(100), 8)[:3] == shards(range(24), 8)
