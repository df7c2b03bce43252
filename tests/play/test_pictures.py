"""Pictures for people: what is written is beside the picture, never on it."""

import numpy as np
import pytest
from PIL import Image

from play.pictures import BACKGROUND, BAR, Film, captioned, row


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)


def ink(image: Image.Image) -> np.ndarray:
    """The columns of a picture's line that something is written in."""
    line = np.asarray(image)[:BAR]
    return np.flatnonzero((line != BACKGROUND).any(axis=(0, 2)))


def test_text_is_above_an_untouched_picture(picture: np.ndarray) -> None:
    image = captioned(picture, "vae-0", "return 12.3")
    assert image.size == (600, 440)
    np.testing.assert_array_equal(np.asarray(image)[BAR:], picture)
    left, right = ink(captioned(picture, "vae-0", "")), ink(captioned(picture, "", "return 12.3"))
    assert (len(left), len(right)) > (20, 20)
    assert left.max() < 300 < right.min()
    np.testing.assert_array_equal(ink(image), [*left, *right])
    assert captioned(picture, "vae-0", "return 12.4") != image


def test_of_a_long_path_the_end_is_shown(picture: np.ndarray) -> None:
    long = captioned(picture, "/very/long/path" * 9 + "/mine", "return 912.3")
    other = captioned(picture, "/very/long/path" * 9 + "/theirs", "return 912.3")
    assert long != other
    number = ink(captioned(picture, "", "return 912.3"))
    name = [column for column in ink(long) if column < number.min()]
    assert name[0] >= 10
    assert number.min() - name[-1] >= 10


def test_a_row_is_from_left_to_right() -> None:
    left, right = (Image.new("RGB", (6, 4), colour) for colour in ("red", "blue"))
    image = row([left, right])
    assert image.crop((0, 0, 6, 4)) == left
    assert image.crop((6, 0, 12, 4)) == right


def test_a_film_gives_back_what_it_was_given(picture: np.ndarray) -> None:
    film, images = Film(), [Image.fromarray(np.roll(picture, n, axis=1)) for n in range(3)]
    for image in images:
        film.append(image)
    assert list(film) == images
    assert list(film) == images
