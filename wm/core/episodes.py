"""Episodes in memory and on disk, and the frames of many of them as one random-access set.

An episode is one safetensors file in which every frame is compressed on its own (zstd with a
checksum), so that frame i of a data set of any size costs one small read and tens of microseconds,
training shuffles over the whole set, and memory holds 8 bytes of a frame's 12,288.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard
from safetensors import SafetensorError

from wm.core import artifacts
from wm.core.car_racing import ACTION_SIZE, FRAME_SHAPE, TELEMETRY
from wm.core.errors import UserError

HELD_OUT = 0.1
"""The share of the episodes that is held out."""
FRAME_BYTES = math.prod(FRAME_SHAPE)
_LEVEL = 3  # of zstd
_TYPES: dict[str, str] = {"offsets": "<i8", "actions": "<f4", "rewards": "<f8", "telemetry": "<f4"}


@dataclass(frozen=True)
class Episode:
    """One episode of T steps.

    Frame t is what the policy saw before action t; reward t and frame t + 1 are what came of it.
    """

    id: int
    """Its number when it was written; a file that was given another name keeps it."""
    seed: int
    """The seed of the track."""
    frames: np.ndarray
    """The frames, RGB, uint8 (T + 1, 64, 64, 3)."""
    actions: np.ndarray
    """The actions, float32 (T, 3): steer in [-1, 1], gas and brake in [0, 1]."""
    rewards: np.ndarray
    """The rewards, float64 (T,)."""
    terminated: bool
    """Whether the environment ended the episode."""
    truncated: bool
    """Whether a limit ended it."""
    telemetry: np.ndarray
    """The state behind each frame, float32 (T + 1, 6), columns as in car_racing.TELEMETRY."""

    def __post_init__(self) -> None:
        steps = len(self.actions)
        assert self.frames.shape == (steps + 1, *FRAME_SHAPE)
        assert self.frames.dtype == np.uint8
        assert self.actions.shape == (steps, ACTION_SIZE)
        assert self.rewards.shape == (steps,)
        assert self.telemetry.shape == (steps + 1, len(TELEMETRY))


def file_name(episode_id: int) -> str:
    """Returns the name of an episode's file in any folder of episodes."""
    return f"episode_{episode_id:06d}.safetensors"


def ids_in(directory: Path | str) -> list[int]:
    """Returns the ids of the episode files in a folder, sorted; another file is no episode."""
    names = {path.name for path in Path(directory).glob("episode_*.safetensors")}
    numbers = {int(part) for name in names for part in re.findall("episode_([0-9]+)[.]", name)}
    return sorted(number for number in numbers if file_name(number) in names)


def split(ids: Sequence[int], where: Path | str = "data/episodes") -> tuple[list[int], list[int]]:
    """Returns (training ids, held-out ids): a tenth of them, at least one, is held out, the lowest
    by hash.

    Depends on the ids alone, not on their order. Raises UserError, naming the folder `where`, for
    fewer than two episodes.
    """
    if len(ids) < 2:
        raise UserError(f"{where}: {len(ids)} episode(s); collect at least 2 to hold one out")
    by_hash = sorted(ids, key=lambda id_: hashlib.sha256(str(id_).encode()).digest())
    held_out = max(1, round(HELD_OUT * len(ids)))
    return sorted(by_hash[held_out:]), sorted(by_hash[:held_out])


def save(path: Path | str, episode: Episode) -> None:
    """Writes an episode atomically; the same episode always gives the same bytes."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    blocks = [compressor.compress(np.ascontiguousarray(frame).data) for frame in episode.frames]
    facts: dict[str, int | str] = {
        "id": episode.id,
        "seed": episode.seed,
        "terminated": episode.terminated,
        "truncated": episode.truncated,
    }
    tensors: dict[str, np.ndarray] = {
        "offsets": np.cumsum([0, *map(len, blocks)]),
        "actions": episode.actions,
        "rewards": episode.rewards,
        "telemetry": episode.telemetry,
    }
    tensors = {name: array.astype(_TYPES[name]) for name, array in tensors.items()}
    frames = np.frombuffer(b"".join(blocks), np.uint8)  # every block has a checksum of its own
    sealed = facts | {artifacts.DIGEST: artifacts.digest(tensors, _text(facts))}
    artifacts.write_tensors(path, {"frames": frames, **tensors}, ("episode", _text(sealed)))


def _text(facts: dict[str, int | str]) -> str:
    return json.dumps(facts, sort_keys=True)


class EpisodeFile:
    """A stored episode, opened and checked.

    The places of its frames are held in memory (8 bytes each); all else is read on demand.

    Raises UserError, naming the file, when it is missing, cannot be read, is cut short or damaged
    in any bit: on opening, or for a frame when that frame is read.
    """

    def __init__(self, path: Path | str, remedy: str = "run collect again") -> None:
        """`remedy` is what an error tells to do about a file that is missing or deleted."""
        self.path, self._remedy = Path(path), remedy
        try:
            self._open()
        except FileNotFoundError:
            raise UserError(f"{self.path}: not found; {self._remedy}") from None
        except OSError as error:
            raise self._unreadable(error) from None
        # whatever bytes may do to a parser that expects its own
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            SafetensorError,
            TypeError,
            ValueError,
        ) as error:
            raise self._damaged(repr(error)) from None

    def _open(self) -> None:
        with artifacts.open_tensors(self.path) as file:
            facts = json.loads(file.metadata()["episode"])
            tensors = {name: file.get_tensor(name) for name in _TYPES}
            (frames_end,) = file.get_slice("frames").get_shape()
        digest = facts.pop(artifacts.DIGEST)
        if digest != artifacts.digest(tensors, _text(facts)):
            raise ValueError("its content is not what was written")
        self.id, self.seed = int(facts["id"]), int(facts["seed"])
        self.terminated, self.truncated = bool(facts["terminated"]), bool(facts["truncated"])
        self.offsets = tensors["offsets"]
        steps = len(self.offsets) - 2
        shapes = {
            "offsets": (steps + 2,),
            "actions": (steps, ACTION_SIZE),
            "rewards": (steps,),
            "telemetry": (steps + 1, len(TELEMETRY)),
        }
        for name, array in tensors.items():
            if array.shape != shapes[name] or array.dtype != _TYPES[name]:
                raise ValueError(f"{name} of shape {array.shape}, {array.dtype}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds NaN or infinity")
        ends = (self.offsets[0], self.offsets[-1])
        if ends != (0, frames_end) or (np.diff(self.offsets) < 0).any():
            raise ValueError("offsets that are not those of its frames")

    @property
    def actions(self) -> np.ndarray:
        """The actions, float32 (T, 3)."""
        return self._array("actions")

    @property
    def rewards(self) -> np.ndarray:
        """The rewards, float64 (T,)."""
        return self._array("rewards")

    @property
    def telemetry(self) -> np.ndarray:
        """The state behind each frame, float32 (T + 1, 6)."""
        return self._array("telemetry")

    def __len__(self) -> int:
        """Returns the number of frames, T + 1."""
        return len(self.offsets) - 1

    def frames(self, index: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the frames at `index`, integers in [0, T]: uint8 (N, 64, 64, 3)."""
        out = np.empty((len(index), *FRAME_SHAPE), np.uint8)
        decompressor = zstandard.ZstdDecompressor()
        try:
            with artifacts.open_tensors(self.path) as file:
                compressed = file.get_slice("frames")
                for row, frame in enumerate(index):
                    first, last = int(self.offsets[frame]), int(self.offsets[frame + 1])
                    block = compressed[first:last].tobytes()
                    # what a block says of its size is what would be allocated for it
                    if zstandard.frame_content_size(block) != FRAME_BYTES:
                        raise ValueError("a block that is no frame")
                    raw = decompressor.decompress(block)
                    out[row] = np.frombuffer(raw, np.uint8).reshape(FRAME_SHAPE)
        except OSError as error:
            raise self._unreadable(error) from None
        except (SafetensorError, zstandard.ZstdError, ValueError) as error:
            raise self._damaged(str(error)) from None
        return out

    def read(self) -> Episode:
        """Returns the whole episode in memory."""
        return Episode(
            self.id,
            self.seed,
            self.frames(range(len(self))),
            self.actions,
            self.rewards,
            self.terminated,
            self.truncated,
            self.telemetry,
        )

    def _array(self, name: str) -> np.ndarray:
        try:
            with artifacts.open_tensors(self.path) as file:
                array: np.ndarray = file.get_tensor(name)
        except OSError as error:
            raise self._unreadable(error) from None
        except SafetensorError as error:  # since it was opened and checked
            raise self._damaged(str(error)) from None
        return array

    def _unreadable(self, error: OSError) -> UserError:
        return UserError(f"{self.path}: cannot be read ({error.strerror or error})")

    def _damaged(self, reason: str) -> UserError:
        return UserError(
            f"{self.path}: damaged or cut short ({reason}); delete it and {self._remedy}"
        )


def held_out_files(directory: Path | str, ids: Sequence[int]) -> list[EpisodeFile]:
    """Opens the held-out ones of the episodes `ids` in a folder, in the order of their ids."""
    return [EpisodeFile(Path(directory) / file_name(id_)) for id_ in split(ids)[1]]


class FrameSet:
    """All frames of some episodes of a folder, addressed by one index."""

    def __init__(self, directory: Path | str, ids: Sequence[int]) -> None:
        self.files = [EpisodeFile(Path(directory) / file_name(id_)) for id_ in ids]
        self._starts = np.cumsum([0, *map(len, self.files)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        """Returns the frames at `index`, integers in [0, len): uint8 (N, 64, 64, 3)."""
        out = np.empty((len(index), *FRAME_SHAPE), np.uint8)
        owner = np.searchsorted(self._starts, index, side="right") - 1
        for which in np.unique(owner):
            rows = np.flatnonzero(owner == which)
            out[rows] = self.files[which].frames(index[rows] - self._starts[which])
        return out
