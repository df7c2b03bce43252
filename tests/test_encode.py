"""The encode stage's probe looks only where there is something to be seen."""

from __future__ import annotations

import numpy as np
import pytest

from stages.encode import probe
from wm.car_racing import TELEMETRY


def test_the_probe_leaves_out_frames_off_the_road_and_against_the_track() -> None:
    rng = np.random.default_rng(0)
    offset, heading = TELEMETRY.index("lateral_offset"), TELEMETRY.index("heading_error")
    encoded, telemetry = {}, {}
    for id_ in range(20):
        z = rng.normal(size=(60, 3))
        values = np.zeros((60, len(TELEMETRY)))
        values[:, offset], values[:, heading] = z[:, 0], 0.3 * z[:, 1]
        values[:20, offset] = 100 * rng.choice([-1, 1], 20)  # far off the road
        values[20:40, heading] = 3.0  # along it, but backwards
        encoded[id_], telemetry[id_] = z, values
    result = probe(encoded, telemetry)
    assert result["probe_r2_lateral_offset"] == pytest.approx(1, abs=1e-3)
    assert result["probe_r2_heading_error"] == pytest.approx(1, abs=1e-3)
