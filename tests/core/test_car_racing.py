"""What the pipeline takes for granted about CarRacing-v3."""

from pathlib import Path

import numpy as np
import pytest
from gymnasium.envs.box2d import car_racing

from wm.core.car_racing import (
    FRAMES_PER_SECOND,
    LAP_REWARD,
    ROAD_HALF_WIDTH,
    STEP_REWARD,
    TELEMETRY,
    along_road,
    on_road,
    road_mask,
)

GRASS, ROAD, BLACK, WHITE, RED = (
    (100, 202, 100),
    (102, 102, 102),
    (0, 0, 0),
    (255, 255, 255),
    (255, 0, 0),
)


def test_constants_are_gymnasium_s() -> None:
    source = Path(car_racing.__file__).read_text()
    assert f"self.reward -= {-STEP_REWARD}" in source
    assert f"self.env.reward += {LAP_REWARD} / len(self.env.track)" in source
    assert ROAD_HALF_WIDTH == car_racing.TRACK_WIDTH
    assert FRAMES_PER_SECOND == car_racing.FPS


def test_on_the_road_is_within_half_its_width() -> None:
    values = np.zeros((4, len(TELEMETRY)), np.float32)
    offsets = [0, ROAD_HALF_WIDTH - 0.1, -ROAD_HALF_WIDTH - 0.1, 50]
    values[:, TELEMETRY.index("lateral_offset")] = offsets
    values[:, TELEMETRY.index("speed")] = [0, 50, 0, 0]
    assert on_road(values).tolist() == [True, True, False, False]


@pytest.mark.parametrize("colour", [GRASS, (100, 228, 100), BLACK, WHITE, RED, (102, 0, 0)])
def test_what_is_no_road(colour):
    assert not road_mask(np.full((1, 64, 64, 3), colour, np.uint8)).any()


@pytest.mark.parametrize("others", [(GRASS, BLACK), (BLACK, (100, 228, 100)), (WHITE, RED)])
def test_no_mixture_of_two_other_colours_is_road(others):
    share = np.linspace(0, 1, 64)[:, None]
    mixtures = share * np.array(others[0]) + (1 - share) * np.array(others[1])
    assert not road_mask(mixtures.astype(np.uint8)[None, :, None]).any()


def test_an_edge_pixel_belongs_to_what_covers_most_of_it():
    for other in (GRASS, BLACK, WHITE):
        for share in (0.1, 0.9):
            pixel = np.round((1 - share) * np.array(ROAD) + share * np.array(other))
            assert road_mask(pixel.astype(np.uint8)[None, None, None]).all() == (share < 0.5)


def test_along_the_road_is_on_it_and_in_its_direction():
    values = np.zeros((6, len(TELEMETRY)), np.float32)
    offset, heading = TELEMETRY.index("lateral_offset"), TELEMETRY.index("heading_error")
    edge, across = ROAD_HALF_WIDTH, np.pi / 2
    values[:, offset] = [edge - 0.1, 0.1 - edge, edge + 0.1, -edge - 0.1, 0, 0]
    values[:, heading] = [across - 0.1, 0.1 - across, 0, 0, across + 0.1, -across - 0.1]
    assert along_road(values).tolist() == [True, True, False, False, False, False]
