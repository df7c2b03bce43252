"""Where the road is, by a frame's pixels and by telemetry."""

import numpy as np
import pytest

from wm.core.car_racing import ROAD_HALF_WIDTH, TELEMETRY, along_road, road_mask

GRASS, ROAD, BLACK, WHITE, RED = (
    (100, 202, 100),
    (102, 102, 102),
    (0, 0, 0),
    (255, 255, 255),
    (255, 0, 0),
)


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
