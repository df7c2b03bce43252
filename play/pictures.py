"""Pictures that people watch: under a line of text, in a row, and as many as a film has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import zstandard
from PIL import Image, ImageDraw, ImageFont

BAR, MARGIN, FONT_SIZE = 40, 12, 24
BACKGROUND, INK = (24, 24, 24), (230, 230, 230)


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)


def captioned(picture: np.ndarray, left: str, right: str) -> Image.Image:
    """Returns a picture, uint8 (H, W, 3), under a line with two texts, (H + 40, W).

    Where both do not fit, `left` loses its beginning: of a path, the end says more.
    """
    height, width = picture.shape[:2]
    image = Image.new("RGB", (width, BAR + height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    room = width - 3 * MARGIN - draw.textlength(right, _font())
    shown = left
    while len(shown) > 4 and draw.textlength(shown, _font()) > room:
        shown = "..." + shown[4:]
    middle = BAR // 2
    draw.text((MARGIN, middle), shown, INK, _font(), anchor="lm")
    draw.text((width - MARGIN, middle), right, INK, _font(), anchor="rm")
    image.paste(Image.fromarray(picture), (0, BAR))
    return image


def row(pictures: Sequence[Image.Image]) -> Image.Image:
    """Returns pictures of one size from left to right."""
    width, height = pictures[0].size
    image = Image.new("RGB", (len(pictures) * width, height))
    for place, picture in enumerate(pictures):
        image.paste(picture, (place * width, 0))
    return image


class Film:
    """Pictures of one size, in the order in which they were added.

    They are compressed: those of two models would take 1.6 GB, and take a hundredth of it.
    """

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._size = (0, 0)

    def append(self, picture: Image.Image) -> None:
        """Adds an RGB picture at the end."""
        self._size = picture.size
        block = zstandard.ZstdCompressor(level=1).compress(picture.tobytes())
        # a copy: the block itself was cut from a buffer of the picture's size, and the rest of
        # that is too small for the next one
        self._blocks.append(bytes(memoryview(block)))

    def __iter__(self) -> Iterator[Image.Image]:
        """Yields every picture."""
        for block in self._blocks:
            yield Image.frombytes("RGB", self._size, zstandard.ZstdDecompressor().decompress(block))
