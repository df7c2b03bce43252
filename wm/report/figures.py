"""Pictures and films of frames: the same frames give the same bytes.

Which frames are shown is decided by rule (`picks`), never by eye. Curves are left to DVC, which
plots the CSV files. Every file is written whole or not at all.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wm.core import artifacts
from wm.core.car_racing import FRAMES_PER_SECOND
from wm.core.errors import UserError
from wm.core.frames import mse_of_each

NAMES = {0: "best", 50: "median", 100: "worst"}  # of ranks, in percent
BACKGROUND, INK = (24, 24, 24), (230, 230, 230)
GAP = 8  # pixels between frames
BAR = 16  # pixels of a line of text
PICKED = 5  # frames of the picture of reconstructions
ENLARGED = 3  # times that a frame of a picture is larger than what is seen
GIF_FRAMES, GIF_COLOURS, GIF_MILLISECONDS = 120, 64, 80


def picks(originals: np.ndarray, reconstructions: np.ndarray, n: int) -> np.ndarray:
    """Returns indices (n,) of frames at evenly spaced ranks of squared error, from best to worst.

    Frames are uint8 (N, 64, 64, 3). n = 5 gives the best, the quartiles and the worst. Equal
    errors keep their order. Fewer frames than n are repeated.
    """
    order = np.argsort(mse_of_each(originals, reconstructions), kind="stable")
    return order[np.linspace(0, len(order) - 1, n).round().astype(int)]


def reconstructions(path: Path | str, originals: np.ndarray, reconstructed: np.ndarray) -> None:
    """Writes a PNG of PICKED frames, uint8 (N, 64, 64, 3) each: originals over reconstructions.

    The label of a column says how many percent of the frames have less error (0 % is the best)
    and the mean squared error of values in [0, 1].
    """
    chosen = picks(originals, reconstructed, PICKED)
    originals, reconstructed = originals[chosen], reconstructed[chosen]
    ranks = np.linspace(0, 100, PICKED)
    errors = mse_of_each(originals, reconstructed)
    columns = [
        f"{NAMES.get(rank, f'{rank:.0f} %')}: mse {error:.5f}"
        for rank, error in zip(ranks, errors, strict=True)
    ]
    _write_png(path, _grid({"original": originals, "reconstruction": reconstructed}, columns))


def open_loop_strip(
    path: Path | str, real: np.ndarray, dreamed: np.ndarray, steps: Sequence[int]
) -> None:
    """Writes a PNG of real frames over dreamed ones, uint8 (S, 64, 64, 3) each.

    `steps` (S) says how many steps of open loop lie behind each of them.
    """
    columns = [f"{step} step{'s' * (step != 1)}" for step in steps]
    _write_png(path, _grid({"real": real, "dream": dreamed}, columns))


def video(path: Path | str, real: np.ndarray, dreamed: np.ndarray) -> None:
    """Writes an MP4 of two films side by side, uint8 (T, 64, 64, 3) each, four times larger.

    It lasts as long as the longer one; the other side is blank after its end. Raises UserError as
    `write_film` does.
    """
    write_film(path, _side_by_side(real, dreamed, scale=4, every=1))


def write_film(path: Path | str, pictures: Iterator[Image.Image]) -> None:
    """Writes an H.264 MP4 of pictures of one size, RGB, of even width and height; at least one.

    One thread and no versions in the file: its bytes depend on neither the number of cores nor the
    time. Raises UserError when ffmpeg does not write all of it.
    """
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "video.mp4")  # MP4 is written with seeks: not to memory
        first = next(pictures)
        options = ["-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
        writer = imageio_ffmpeg.write_frames(
            str(file),
            (first.width, first.height),
            fps=FRAMES_PER_SECOND,
            codec="libx264",
            macro_block_size=2,  # yuv420p takes even sizes; the default of 16 would rescale
            output_params=[*options, "-movflags", "+faststart"],
        )
        count, reason = 1, ""
        try:
            writer.send(None)  # starts the generator, and ffmpeg
            writer.send(first.tobytes())
            for picture in pictures:
                writer.send(picture.tobytes())
                count += 1
            writer.close()  # does not say whether ffmpeg ended well
            written = imageio_ffmpeg.count_frames_and_secs(str(file))[0]
        except (OSError, RuntimeError) as error:  # also where there is no ffmpeg
            written, reason = 0, f" ({' '.join(str(error).split()):.300})"
        if written != count:
            raise UserError(
                f"{path}: ffmpeg could not write it{reason}; is there room in {directory}?"
            )
        artifacts.write_bytes(path, file.read_bytes())


def gif(path: Path | str, real: np.ndarray, dreamed: np.ndarray) -> None:
    """Writes `video` small enough for a README: twice as large, at most 120 frames of 64 colours.

    Of more frames only every k-th is kept, so a long film plays faster.
    """
    every = -(-max(len(real), len(dreamed)) // GIF_FRAMES)  # ceil
    frames = list(_side_by_side(real, dreamed, scale=2, every=every))
    # One palette for the whole film and no dithering: nothing flickers, and it compresses.
    sample = np.concatenate([np.asarray(frame) for frame in frames[:: -(-len(frames) // 8)]])
    palette = Image.fromarray(sample).quantize(GIF_COLOURS, Image.Quantize.MEDIANCUT)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    content = io.BytesIO()
    first.save(content, "GIF", save_all=True, append_images=rest, duration=GIF_MILLISECONDS, loop=0)
    artifacts.write_bytes(path, content.getvalue())


def _enlarged(frame: np.ndarray, scale: int) -> Image.Image:
    return Image.fromarray(frame.repeat(scale, axis=0).repeat(scale, axis=1))


def _text(image: Image.Image, position: tuple[int, int], text: str) -> None:
    ImageDraw.Draw(image).text(position, text, INK, ImageFont.load_default(11))


def _grid(rows: dict[str, np.ndarray], columns: Sequence[str]) -> Image.Image:
    """Returns rows of frames (len(columns), H, W, 3), each under its name; column labels at the
    top."""
    height, width = (ENLARGED * side for side in next(iter(rows.values())).shape[1:3])
    size = (GAP + len(columns) * (width + GAP), BAR + len(rows) * (BAR + height) + GAP)
    image = Image.new("RGB", size, BACKGROUND)
    for i, label in enumerate(columns):
        _text(image, (GAP + i * (width + GAP), 2), label)
    for j, (name, frames) in enumerate(rows.items()):
        top = BAR + j * (BAR + height)
        _text(image, (GAP, top + 2), name)
        for i, (frame, _) in enumerate(zip(frames, columns, strict=True)):
            image.paste(_enlarged(frame, ENLARGED), (GAP + i * (width + GAP), top + BAR))
    return image


def _side_by_side(
    real: np.ndarray, dreamed: np.ndarray, scale: int, every: int
) -> Iterator[Image.Image]:
    """Yields every `every`-th pair of frames under captions; a side that has ended is blank."""
    height, width = (scale * side for side in real.shape[1:3])
    for t in range(0, max(len(real), len(dreamed)), every):
        image = Image.new("RGB", (2 * width + GAP, BAR + height), BACKGROUND)
        for x, film, caption in ((0, real, "real"), (width + GAP, dreamed, "dream")):
            _text(image, (x + GAP, 2), caption)
            if t < len(film):
                image.paste(_enlarged(film[t], scale), (x, BAR))
        yield image


def _write_png(path: Path | str, image: Image.Image) -> None:
    content = io.BytesIO()
    image.save(content, "PNG")
    artifacts.write_bytes(path, content.getvalue())
