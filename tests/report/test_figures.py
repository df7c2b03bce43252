import resource

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from wm.core.errors import UserError
from wm.report import figures


def film(length, seed=0):
    """A white square that moves over coloured ground, uint8 (length, 64, 64, 3)."""
    frames = np.zeros((length, 64, 64, 3), np.uint8)
    frames[:] = np.random.default_rng(seed).integers(50, 150, 3)
    for t, frame in enumerate(frames):
        x = t % 56
        frame[20:28, x : x + 8] = 255
    return frames


def read_video(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return np.stack([np.frombuffer(f, np.uint8).reshape(height, width, 3) for f in reader])


def read_gif(path):
    with Image.open(path) as image:
        frames = []
        for i in range(image.n_frames):
            image.seek(i)
            frames.append(np.asarray(image.convert("RGB")))
    return np.stack(frames)


WRITERS = {
    "grid.png": lambda path: figures.reconstructions(path, film(9), film(9, seed=1)),
    "strip.png": lambda path: figures.open_loop_strip(path, film(3), film(3, 1), (1, 5, 15)),
    "film.mp4": lambda path: figures.video(path, film(12), film(9, 1)),
    "film.gif": lambda path: figures.gif(path, film(12), film(9, 1)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_same_bytes_twice_and_nothing_beside_them(tmp_path, name):
    for folder in ("first", "second"):
        WRITERS[name](tmp_path / folder / name)
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert [path.name for path in (tmp_path / "first").iterdir()] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_an_error_leaves_the_older_file(tmp_path, name, monkeypatch):
    def fail(*_):
        raise RuntimeError("the disk is full")

    (tmp_path / name).write_text("older")
    monkeypatch.setattr(figures.artifacts, "write_bytes", fail)
    with pytest.raises(RuntimeError):
        WRITERS[name](tmp_path / name)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["older"]


def test_picks_are_best_quartiles_and_worst():
    errors = np.array([7, 0, 3, 8, 1, 5, 2, 6, 4])
    originals = np.zeros((9, 64, 64, 3), np.uint8)
    reconstructed = originals + (10 * errors).astype(np.uint8)[:, None, None, None]
    chosen = figures.picks(originals, reconstructed, 5)
    assert errors[chosen].tolist() == [0, 2, 4, 6, 8]
    assert errors[figures.picks(originals, reconstructed, 2)].tolist() == [0, 8]


def test_picks_do_not_wrap_around_and_repeat_when_short():
    originals = np.zeros((2, 64, 64, 3), np.uint8)
    reconstructed = originals.copy()
    reconstructed[0] = 255  # as uint8 0 - 255 is 1: it would look like the smaller error
    reconstructed[1] = 5
    assert figures.picks(originals, reconstructed, 3).tolist() == [1, 1, 0]


def test_grid_shows_the_picked_pixels(tmp_path):
    originals = film(9)
    reconstructed = originals.copy()
    reconstructed[4] += 20
    figures.reconstructions(tmp_path / "grid.png", originals, reconstructed)
    image = np.asarray(Image.open(tmp_path / "grid.png"))
    gap, bar, side = figures.GAP, figures.BAR, 3 * 64
    assert image.shape == (bar + 2 * (bar + side) + gap, gap + 5 * (side + gap), 3)
    worst = gap + 4 * (side + gap)
    top, bottom = 2 * bar, 3 * bar + side
    np.testing.assert_array_equal(
        image[top : top + side : 3, worst : worst + side : 3], originals[4]
    )
    np.testing.assert_array_equal(
        image[bottom : bottom + side : 3, worst : worst + side : 3], reconstructed[4]
    )


def test_labels_are_drawn(tmp_path):
    figures.open_loop_strip(tmp_path / "a.png", film(2), film(2), (1, 5))
    figures.open_loop_strip(tmp_path / "b.png", film(2), film(2), (1, 15))
    a, b = (np.asarray(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
    assert (a[: figures.BAR] != b[: figures.BAR]).any()
    np.testing.assert_array_equal(a[figures.BAR :], b[figures.BAR :])


def test_a_label_for_each_column(tmp_path):
    with pytest.raises(ValueError, match="zip"):
        figures.open_loop_strip(tmp_path / "strip.png", film(3), film(3), (1, 5))


@pytest.mark.parametrize("lengths", [(12, 12), (12, 7), (7, 12)])
def test_video_has_both_films_and_is_blank_after_an_end(tmp_path, lengths):
    left, right = film(lengths[0]), film(lengths[1], seed=1)
    figures.video(tmp_path / "film.mp4", left, right)
    frames = read_video(tmp_path / "film.mp4").astype(int)
    assert frames.shape == (12, figures.BAR + 256, 512 + figures.GAP, 3)
    for t in (0, 11):
        for x, side in ((0, left), (256 + figures.GAP, right)):
            shown = frames[t, figures.BAR + 2 :: 4, x + 2 : x + 256 : 4]
            expected = side[t] if t < len(side) else np.array(figures.BACKGROUND)
            assert np.abs(shown - expected).mean() < 6  # lossy


def test_video_depends_on_no_machine(tmp_path):
    """x264 notes its settings in the film, ffmpeg its version unless told not to."""
    figures.video(tmp_path / "film.mp4", film(5), film(5))
    content = (tmp_path / "film.mp4").read_bytes()
    assert b" threads=1 " in content
    assert b"Lavf" not in content


def test_gif_has_both_films_and_is_blank_after_an_end(tmp_path):
    figures.gif(tmp_path / "film.gif", film(12), film(7, seed=1))
    frames = read_gif(tmp_path / "film.gif").astype(int)
    assert frames.shape == (12, figures.BAR + 128, 256 + figures.GAP, 3)
    shown = frames[11, figures.BAR :: 2]
    assert np.abs(shown[:, :128:2] - film(12)[11]).mean() < 3  # 64 colours
    assert np.abs(shown[:, 128 + figures.GAP :: 2] - figures.BACKGROUND).mean() < 3


def test_gif_of_a_whole_episode_is_small(tmp_path):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (1001, 16, 16, 3), dtype=np.uint8)  # harder than any road
    figures.gif(tmp_path / "film.gif", coarse.repeat(4, 1).repeat(4, 2), film(500))
    frames = read_gif(tmp_path / "film.gif")
    assert len(frames) == -(-1001 // 9)  # every 9th is the first rule that gives at most 120
    assert (tmp_path / "film.gif").stat().st_size < 2_000_000


def test_where_there_is_no_ffmpeg_that_is_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"film\.mp4: ffmpeg could not write it \(.*none"):
        figures.video(tmp_path / "film.mp4", film(2), film(2))
    assert not list(tmp_path.iterdir())


def test_a_video_that_ffmpeg_cannot_finish_is_one_line_and_no_file(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # as a full disk would
    try:
        with pytest.raises(UserError, match=r"film\.mp4: ffmpeg could not write it"):
            figures.video(tmp_path / "film.mp4", film(60), film(60))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
