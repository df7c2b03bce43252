"""What the pipeline takes for granted about CarRacing-v3."""

from pathlib import Path

import numpy as np
from gymnasium.envs.box2d import car_racing

from wm.core.car_racing import (
    FRAMES_PER_SECOND,
    LAP_REWARD,
    ROAD_HALF_WIDTH,
    STEP_REWARD,
    TELEMETRY,
    on_road,
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
