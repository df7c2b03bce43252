"""The exact renderer against gymnasium's and against pygame itself, byte for byte."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pygame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygame import gfxdraw

from tests.env.drivers import Driver, lap, leave, spin, wander
from tests.env.test_environment import SparseCarRacing
from verify.soak import car_state
from wm.core.errors import UserError
from wm.core.seeding import evaluation_seed
from wm.drive.telemetry import telemetry
from wm.env import official
from wm.env.exact import checked
from wm.env.exact.environment import ExactCarRacing, _turn, make
from wm.env.exact.polygons import CAR_CORNERS
from wm.env.exact.row import VERSION, compiled, forget_others, pixel
from wm.env.exact.window import observe
from wm.env.official import preprocess


# track 298 has kerbs of no width
@pytest.mark.parametrize(
    ("seed", "drive"), [(0, lap), (1, spin), (2, leave), (3, wander), (298, lap)]
)
def test_frames_rewards_and_ends_are_gymnasium_s(seed: int, drive: Driver) -> None:
    exact: Any = make()
    reference = SparseCarRacing()
    rng = np.random.default_rng(seed)
    reference.drawing = True
    frame, _ = exact.reset(seed=seed)
    observation, _ = reference.reset(seed=seed)
    compared = 0
    for step in range(700):
        if reference.drawing:
            assert np.array_equal(frame, preprocess(observation)), f"step {step}"
            compared += 1
        action = drive(step, telemetry(exact), rng)
        reference.drawing = step % (3 if step < 50 else 11) == 1
        frame, reward, *end, info = exact.step(action)
        observation, expected, *expected_end, expected_info = reference.step(action)
        assert (reward, end, info) == (expected, expected_end, expected_info), f"step {step}"
        assert car_state(exact) == car_state(reference), f"step {step}"
        if any(end):
            break
    assert compared >= 60


def test_an_episode_does_not_depend_on_those_before() -> None:
    used, fresh = make(), make()
    for seed in (5, 6):
        used.reset(seed=seed)
        for _ in range(30):
            used.step(np.array([0.2, 1, 0], np.float32))
    frames = [[env.reset(seed=7)[0]] for env in (used, fresh)]
    for _ in range(60):
        for env, drawn in zip((used, fresh), frames, strict=True):
            drawn.append(env.step(np.array([0.1, 0.5, 0], np.float32))[0])
    assert np.array_equal(*frames)


def test_frames_are_gymnasium_s_wherever_the_car_is_put() -> None:
    """Also off the field, where it is black, and turned by right angles, nearly."""
    rng = np.random.default_rng(0)
    exact: Any = make()
    reference: Any = SparseCarRacing()
    exact.reset(seed=1)
    reference.reset(seed=1)
    reference.drawing = True
    for turn in range(60):
        place = rng.uniform(-450, 450, 2) if turn % 3 else np.array(exact.track[turn][2:4])
        angle = rng.uniform(-7, 7) if turn % 2 else (turn // 2) * np.pi / 2 + rng.choice([0, 8e-7])
        now = rng.choice([0.02, 0.5, 0.98, 1.5])
        for env in (exact, reference):
            env.t = now
            hull = env.car.hull
            # the wheels first: their places follow from where the hull was
            for body in (*env.car.wheels, hull):
                away = body.position - hull.position
                body.position = (float(place[0] + away.x), float(place[1] + away.y))
                body.angle = float(angle)
        observation = reference._render("state_pixels")
        assert np.array_equal(exact._draw(), preprocess(observation)), (turn, place, angle, now)


UNTURNED = (1.0, 0.0, 1.0, 0.0, 0.0)
COLORS = st.tuples(*[st.integers(0, 255)] * 3)
PLACES = st.tuples(
    st.one_of(st.integers(-300, 1300), st.sampled_from([-1, 0, 1, 998, 999, 1000])),
    st.one_of(st.integers(-300, 1100), st.sampled_from([-1, 0, 99, 100, 101, 799, 800])),
)
FIELD = [(-2000, -2000), (-2000, 3000), (3000, 3000), (3000, -2000)]


def drawn_by_pygame(polygons: list[Any], parts: list[Any]) -> np.ndarray:
    """The rows above the indicators, uint8 (84, 96, 3), as gymnasium has pygame draw them."""
    surface = pygame.Surface((1000, 800))
    for corners, color in polygons:
        gfxdraw.aapolygon(surface, corners, color)
        gfxdraw.filled_polygon(surface, corners, color)
    for corners, color in parts:
        pygame.draw.polygon(surface, color=color, points=corners)
    flipped = pygame.transform.flip(surface, False, True)
    shrunk = pygame.transform.smoothscale(flipped, (96, 96))
    return np.transpose(np.array(pygame.surfarray.pixels3d(shrunk)), axes=(1, 0, 2))[:84]


def drawn_by_us(polygons: list[Any], parts: list[Any]) -> np.ndarray:
    placed = np.zeros((len(parts), CAR_CORNERS, 2), np.int64)
    for place, (corners, _) in zip(placed, parts, strict=True):
        place[: len(corners)] = corners
    observation = np.zeros((96, 96, 3), np.uint8)
    observe(
        np.array([corners for corners, _ in polygons], np.float64).reshape(-1, 4, 2),
        np.array([pixel(*color) for _, color in polygons], np.uint64),
        UNTURNED,
        placed,
        np.array([len(corners) for corners, _ in parts], np.int64),
        np.array([pixel(*color) for _, color in parts], np.uint64),
        observation,
    )
    return observation[:84]


@pytest.mark.at_large
@given(
    polygons=st.lists(st.tuples(st.lists(PLACES, min_size=4, max_size=4), COLORS), max_size=6),
    field=st.booleans(),
)
def test_any_quadrilaterals_are_drawn_as_pygame_draws_them(
    polygons: list[Any], field: bool
) -> None:
    """Concave ones, crossed ones, lines and points too, in view or not."""
    first = [(FIELD, (102, 204, 102))] if field else [(FIELD[:1] * 4, (1, 2, 3))]
    everything = [*first, *polygons]
    assert np.array_equal(drawn_by_us(everything, []), drawn_by_pygame(everything, []))


@pytest.mark.at_large
@given(
    parts=st.lists(
        st.tuples(st.lists(PLACES, min_size=4, max_size=CAR_CORNERS), COLORS), max_size=4
    )
)
def test_any_parts_are_drawn_as_pygame_draws_them(parts: list[Any]) -> None:
    field = [(FIELD, (102, 204, 102))]
    assert np.array_equal(drawn_by_us(field, parts), drawn_by_pygame(field, parts))


def test_a_turn_is_pygame_s() -> None:
    rng = np.random.default_rng(0)
    right = [quarter * np.pi / 2 + off for quarter in range(-9, 10) for off in (0, 9e-7, -9e-7)]
    for angle in [*rng.uniform(-40, 40, 500).tolist(), *right]:
        cos, sin = _turn(float(angle))
        x, y = rng.uniform(-400, 400, 2).tolist()
        turned = pygame.math.Vector2(x, y).rotate_rad(float(angle))
        assert (cos * x - sin * y, sin * x + cos * y) == (turned[0], turned[1])


def test_what_is_not_gymnasium_s_is_said_on_the_tracks_that_are_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = checked.CheckedCarRacing([3])
    action = np.array([0.0, 0.5, 0.0], np.float32)
    env.reset(seed=3)
    env.step(action)
    monkeypatch.setattr(
        "wm.env.exact.environment.preprocess", lambda observation: preprocess(observation) // 2
    )
    # another package with a module of this name, beside which no pygame-ce need be installed
    monkeypatch.setattr(pygame, "IS_CE", 0)
    monkeypatch.setattr(pygame.version, "ver", "2.6.1")
    env.reset(seed=4)  # is not checked
    env.step(action)
    message = r"frame is not gymnasium's, with pygame 2\.6\.1; set evaluate's renderer"
    with pytest.raises(UserError, match=message):
        env.reset(seed=3)


@pytest.mark.parametrize("name", ["frame", "reward", "terminated", "lap_finished"])
def test_a_step_that_is_not_gymnasium_s_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    env = checked.CheckedCarRacing([3])
    action = np.array([0.0, 0.5, 0.0], np.float32)
    env.reset(seed=3)
    env.step(action)
    step = ExactCarRacing.step

    def wrong(self: ExactCarRacing, action: np.ndarray) -> tuple[Any, ...]:
        frame, reward, terminated, truncated, info = step(self, action)
        if name == "frame":
            frame = frame.copy()
            frame[63, 63, 2] ^= 1
        reward += 1e-9 * (name == "reward")
        if name == "lap_finished":
            info = {"lap_finished": True}
        return frame, reward, terminated ^ (name == "terminated"), truncated, info

    monkeypatch.setattr(ExactCarRacing, "step", wrong)
    with pytest.raises(UserError, match=f"the exact renderer's {name} is not gymnasium's"):
        env.step(action)


DRIVES = {
    "checked_episodes": 2,
    "first_track": 5,
    "episodes": 3,
    "max_steps": 9,
    "shard_episodes": 2,
}


@pytest.mark.parametrize("renderer", ["official", "exact"])
def test_either_renderer_can_be_asked_for(renderer: str) -> None:
    drives = checked.Evaluate.model_validate(DRIVES | {"renderer": renderer})
    make_env = pickle.loads(pickle.dumps(checked.maker(drives)))
    assert (make_env is official.make) == (renderer == "official")
    assert isinstance(make_env(), checked.CheckedCarRacing) == (renderer == "exact")


def test_the_first_of_the_episodes_are_checked() -> None:
    drives = checked.Evaluate.model_validate(DRIVES | {"renderer": "exact"})
    assert drives.tracks == [evaluation_seed(5 + i) for i in range(drives.episodes)]
    made: Any = checked.maker(drives)
    assert made.args == (drives.tracks[:2],)


def test_without_a_folder_to_keep_it_the_code_is_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("numba.core.caching.CompileResultCacheImpl._locator_classes", [])
    assert compiled(lambda x: x + 1)(2) == 3


def test_what_was_compiled_from_other_sources_is_forgotten(tmp_path: Path) -> None:
    """Whatever their dates: a copy that keeps them may be older than what is compiled."""
    for name in ("sources-0123456789abcdef", "row.pixel.nbi", "row.pixel.1.nbc"):
        (tmp_path / name).touch()
    forget_others(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"sources-{VERSION}", "row.pixel.1.nbc"}
    (tmp_path / "row.pixel.nbi").touch()
    forget_others.cache_clear()
    assert forget_others(tmp_path)
    assert (tmp_path / "row.pixel.nbi").exists()


def test_what_cannot_be_forgotten_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "Operation not permitted")

    (tmp_path / "row.pixel.nbi").touch()
    monkeypatch.setattr(Path, "unlink", refuse)
    assert not forget_others(tmp_path / ".")
    assert [path.name for path in tmp_path.iterdir()] == ["row.pixel.nbi"]
