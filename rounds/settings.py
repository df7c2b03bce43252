"""The parameters of the rounds, and where a round's files are."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from wm.control.policy.driving import AgentSpec
from wm.control.training.settings import Search
from wm.core.car_racing import MAX_EPISODE_STEPS
from wm.core.errors import UserError
from wm.core.params import Params, SharedParams, validated
from wm.drive.workers import MakeEnv
from wm.memory.training.settings import Training

PATH = Path("rounds/params.yaml")


class Drive(Params):
    """The parameters of drive."""

    episodes: int = Field(ge=2)
    """Episodes of a round. Its candidates share them equally, each on the same tracks."""
    max_steps: int = Field(ge=1, le=MAX_EPISODE_STEPS)
    """The number of steps after which an episode is truncated."""
    patience: int | None = Field(ge=1)
    """Steps without a new tile that end an episode (null: none do)."""
    shard_episodes: int = Field(ge=1)
    """Episodes that a worker drives in lockstep; part of the result's last bits."""
    encode_batch_size: int = Field(ge=1)
    """Frames encoded at a time; part of the result's last bits."""


class TrainRnn(Training):
    """The parameters of train_rnn: as the pipeline's, and one more."""

    steps: int = Field(ge=1)
    """Optimisation steps of a round."""
    drives_share: float = Field(gt=0, lt=1)
    """The share of a batch's windows that are of the rounds' drives; the others are of the
    collected episodes."""


class TrainController(Search):
    """The parameters of train_controller."""

    memory: Literal["kept", "newest"]
    """The memory whose state controllers see: the one that they were found with, or this round's,
    with which those of before drive otherwise."""
    recent: int = Field(ge=1)
    """Dreams begin in the drives of the last so many rounds."""


class Evaluate(Params):
    """The parameters of evaluate."""

    episodes: int = Field(ge=2)
    """Episodes to drive, each on a track of its own."""
    max_steps: int = Field(ge=1, le=MAX_EPISODE_STEPS)
    """The number of steps after which an episode is truncated."""
    shard_episodes: int = Field(ge=1)
    """Episodes that a worker drives in lockstep; part of the result's last bits."""


P = TypeVar("P", bound=Params)


def load(stage: str, schema: type[P]) -> P:
    """Returns the parameters of a stage of the rounds; UserError, naming the key, for a fault."""
    try:
        document = YAML(typ="safe").load(PATH.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{PATH}: not found; run from the repository's root") from None
    except YAMLError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{PATH}: not valid YAML: {reason}") from None
    section = document.get(stage) if isinstance(document, dict) else None
    if not isinstance(section, dict):
        raise UserError(f"{PATH}: {stage}: missing; git checkout {PATH} brings it back")
    return validated(schema, section, f"{PATH}: {stage}", "mend it")


@dataclass(frozen=True)
class Round:
    """The folders of a round; those of round 0 hold what the pipeline made."""

    number: int
    """The number of the round."""

    @property
    def dreamer(self) -> Path:
        """The memory that has learned from the drives of all rounds before."""
        return Path(f"models/rounds/{self.number}/rnn")

    @property
    def candidates(self) -> Path:
        """The round's candidates: folders of controllers, named 0, 1, ..., and their `memory`."""
        return Path(f"models/rounds/{self.number}/candidates")

    @property
    def drives(self) -> Path:
        """What the candidates drove: `episodes`, `latents`, and the best one as `agent`."""
        return Path(f"data/rounds/{self.number}")

    @property
    def latents(self) -> Path:
        """The drives as the vision model encodes them."""
        return self.drives / "latents"

    @property
    def agent(self) -> Path:
        """The candidate that drove best: `controller` and `memory`."""
        return self.drives / "agent"

    def metrics(self, stage: str) -> Path:
        """Returns the file of a stage's metrics."""
        return Path(f"metrics/rounds/{self.number}/{stage}.json")

    def before(self) -> Round:
        """Returns the round before."""
        return Round(self.number - 1)


def agent_spec(shared: SharedParams, memory: Path, make_env: MakeEnv) -> AgentSpec:
    """Returns the agent that sees the state of a memory, through the pipeline's vision model."""
    return AgentSpec(shared, make_env, Path("models") / shared.vision, memory)


def of_command_line() -> Round:
    """Returns the round that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("round", type=int, help="0 is what the pipeline made")
    return Round(parser.parse_args().round)
