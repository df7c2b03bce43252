import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from wm.core import artifacts, episodes
from wm.core.car_racing import TELEMETRY
from wm.core.errors import UserError
from wm.drive.telemetry import telemetry
from wm.env.fast import environment


def make(id_: int = 3, steps: int = 5) -> episodes.Episode:
    generator = np.random.default_rng(id_)
    frames = generator.integers(0, 256, (steps + 1, 64, 64, 3), np.uint8)
    frames[:, 20:] = 77  # some of it compresses
    return episodes.Episode(
        id=id_,
        seed=id_ + 100,
        frames=frames,
        actions=generator.random((steps, 3), np.float32),
        rewards=generator.random(steps),
        terminated=id_ % 2 == 0,
        truncated=id_ % 2 == 1,
        telemetry=generator.random((steps + 1, 6), np.float32),
    )


def write(directory: Path, episode: episodes.Episode) -> Path:
    path = directory / episodes.file_name(episode.id)
    episodes.save(path, episode)
    return path


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_round_trip_is_lossless_and_byte_stable(tmp_path: Path, steps: int) -> None:
    episode = make(steps=steps)
    path = write(tmp_path, episode)
    again = write(tmp_path / "again", episode)
    assert path.read_bytes() == again.read_bytes()
    read = episodes.EpisodeFile(path).read()
    for name, value in vars(episode).items():
        np.testing.assert_array_equal(getattr(read, name), value)
    assert read.rewards.dtype == np.float64
    assert read.actions.dtype == np.float32


def test_frames_of_many_episodes_under_one_index(tmp_path: Path) -> None:
    stored = [make(id_, steps) for id_, steps in ((4, 3), (9, 1), (11, 6))]
    for episode in stored:
        write(tmp_path, episode)
    assert episodes.ids_in(tmp_path) == [4, 9, 11]
    frames = episodes.FrameSet(tmp_path, [4, 9, 11])
    every = np.concatenate([episode.frames for episode in stored])
    assert len(frames) == len(every) == 13
    index = np.array([12, 0, 4, 3, 5, 5, 6])
    np.testing.assert_array_equal(frames[index], every[index])


@pytest.mark.parametrize("kept", [0, 3, 50, 1000, -1])
def test_a_file_cut_short_is_named(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path, make())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"episode_000003\.safetensors: damaged or cut short"):
        episodes.EpisodeFile(path)


@pytest.mark.at_large
@given(data=st.data())
def test_a_changed_byte_is_noticed_or_changes_nothing(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    """Anywhere: in the header, in a frame, in the numbers."""
    episode = make(steps=2)
    path = write(tmp_path_factory.getbasetemp(), episode)
    raw = bytearray(path.read_bytes())
    frames = 8 + int.from_bytes(raw[:8], "little")
    place = data.draw(st.integers(0, frames) | st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    same_or_refused(path, bytes(raw), episode)


@pytest.mark.at_large
@given(content=st.binary(max_size=400))
def test_any_bytes_are_refused(content: bytes, tmp_path_factory: Any) -> None:
    """As a file, and as a header of the right length."""
    path = tmp_path_factory.getbasetemp() / episodes.file_name(3)
    for raw in (content, len(content).to_bytes(8, "little") + content):
        same_or_refused(path, raw, make())


def sealed(path: Path, **changes: np.ndarray) -> None:
    """An episode's file with other arrays in it and the digest that belongs to them, as somebody
    could make it."""
    write(path.parent, make(int(path.stem[8:])))
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    facts = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["episode"])
    del facts["sha256"]
    arrays = load(raw) | changes
    apart = {name: array for name, array in arrays.items() if name != "frames"}
    digest = artifacts.digest(apart, json.dumps(facts, sort_keys=True))
    text = json.dumps(facts | {"sha256": digest}, sort_keys=True)
    artifacts.write_tensors(path, arrays, ("episode", text))


HOSTILE = {
    "offsets that are huge": {"offsets": np.array([0, 2**62, 2**62, 2**62, 2**62, 2**62, 2**62])},
    "offsets that go back": {"offsets": np.array([0, 900, 800, 700, 600, 500, 400])},
    "no offsets": {"offsets": np.zeros(0, np.int64)},
    "a scalar": {"offsets": np.array(3)},
    "fewer actions": {"actions": np.zeros((4, 3), np.float32)},
    "narrow actions": {"actions": np.zeros((5, 2), np.float32)},
    "another version's telemetry": {"telemetry": np.zeros((6, 5), np.float32)},
    "rewards that are not finite": {"rewards": np.full(5, np.nan)},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_sealed_file_that_is_no_episode_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / episodes.file_name(3)
    sealed(path)
    episodes.EpisodeFile(path).read()
    sealed(path, **HOSTILE[name])
    with pytest.raises(UserError, match=r"episode_000003\.safetensors: damaged"):
        episodes.EpisodeFile(path)


def test_a_block_that_claims_another_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    bomb = zstandard.compress(bytes(300 * 2**20))
    path = tmp_path / episodes.file_name(3)
    ends = np.array([0, *[len(bomb)] * 6])
    sealed(path, frames=np.frombuffer(bomb, np.uint8), offsets=ends)
    file = episodes.EpisodeFile(path)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"damaged .*no frame"):
        file.frames([0])
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3000)


@pytest.mark.at_large
@given(values=st.lists(NUMBERS, max_size=9))
def test_any_sealed_offsets_are_refused_or_mean_the_same(
    values: list[int], tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / episodes.file_name(4)
    sealed(path, offsets=np.array(values, np.int64))
    same_or_refused(path, path.read_bytes(), make(4))


def test_telemetry_is_as_wide_as_what_is_measured() -> None:
    env = environment.make()
    env.reset(seed=0)
    assert make().telemetry.shape[1:] == telemetry(env).shape == (len(TELEMETRY),)


def same_or_refused(path: Path, raw: bytes, episode: episodes.Episode) -> None:
    path.write_bytes(raw)
    try:
        read = episodes.EpisodeFile(path).read()
    except UserError as error:
        assert str(error).startswith(f"{path}: damaged")
        assert "\n" not in str(error)
    else:
        for name, value in vars(episode).items():
            np.testing.assert_array_equal(getattr(read, name), value)


def test_another_file_in_the_folder_is_no_episode(tmp_path: Path) -> None:
    write(tmp_path, make())
    for name in ("copy", "0000003", "0000004", "4"):
        (tmp_path / f"episode_{name}.safetensors").touch()
    assert episodes.ids_in(tmp_path) == [3]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"episode_000001\.safetensors: not found"):
        episodes.FrameSet(tmp_path, [1])


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    """Or somebody deletes a good one: too many open files, say."""
    file = episodes.EpisodeFile(write(tmp_path / "folder", make()))
    shutil.rmtree(tmp_path / "folder")
    (tmp_path / "folder").touch()
    reads: list[Callable[[], object]] = [
        lambda: episodes.EpisodeFile(file.path), lambda: file.frames([0]), lambda: file.actions,
    ]  # fmt: skip
    for read in reads:
        with pytest.raises(UserError, match=r"safetensors: cannot be read \(Not a directory\)$"):
            read()


def test_split_depends_on_the_ids_alone() -> None:
    ids = list(range(40))
    training, held_out = episodes.split(ids)
    assert sorted(training + held_out) == ids
    assert len(held_out) == 4
    assert episodes.split(ids[::-1]) == (training, held_out)
    assert held_out != ids[:4]
    assert held_out != ids[-4:]


def test_split_always_holds_one_out_and_keeps_one() -> None:
    assert [len(part) for part in episodes.split([0, 1])] == [1, 1]
    with pytest.raises(UserError, match="data/latents: 1 episode"):
        episodes.split([0], "data/latents")
