"""The parameters of the stage train_controller."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from wm.control.policy.controller import ControllerConfig
from wm.control.training.cma_es import CmaEsSettings
from wm.control.training.dream import DreamParams
from wm.core.params import Params


class SearchPhase(CmaEsSettings):
    """A phase of the search. In a dream, a track is where it begins."""

    weights: Literal["z", "components", "all"]
    """What evolves: the weights of z; these and one for each of h's principal components; or all.
    Biases always do. Where inputs are z, the three are the same."""
    episodes: int = Field(ge=1)
    """Episodes of a candidate, on tracks that all of a generation share."""
    repeated_tracks: int = Field(ge=0)
    """Of these, on tracks of the phase's earlier generations: those that told candidates apart the
    most when they were last driven."""

    @field_validator("repeated_tracks")
    @classmethod
    def _among_the_episodes(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("episodes", value):
            message = "Input should be at most the episodes"
            raise PydanticCustomError("repeated", message)
        return value


class Search(Params):
    """What a search for controllers is made of."""

    where: Literal["simulator", "dream"]
    """Where candidates are tried: in the simulator, on the fast renderer, or in the memory's
    dreams."""
    dream: DreamParams
    """How it dreams, where it does."""
    phases: dict[str, SearchPhase] = Field(min_length=1)
    """The phases of the search in their order; each begins at the mean that the one before ended
    with. Their names are for people, and for DVC: it sees another order only where a name has
    changed too."""
    memory_components: int = Field(ge=1)
    """Principal components of h that have a weight where a phase's weights are `components`."""
    memory_tracks: int = Field(ge=1)
    """Tracks that are driven to find the components."""
    weight_decay: float = Field(ge=0)
    """Taken off the fitness, times the mean square of a candidate's weights."""
    max_steps: int = Field(ge=1)
    """The number of steps after which an episode is truncated."""
    patience: int | None = Field(ge=1)
    """Steps without a new tile that end an episode (null: none do)."""
    off_road_cost: float = Field(ge=0)
    """Taken off a candidate's return for each step and each of the four wheels off the road, in the
    simulator; never off a validation's. A wheel on the grass comes long before a car that is lost,
    and on every track, so it tells candidates apart where returns do not yet."""
    shard_episodes: int = Field(ge=1)
    """Episodes that a worker drives in lockstep, a candidate's together; part of the result's last
    bits."""
    validate_every: int = Field(ge=1)
    """Generations between validations of the mean."""
    validation_episodes: int = Field(ge=1)
    """Episodes of a validation, always on the same tracks, none of them evaluate's."""

    @property
    def generations(self) -> int:
        """The number of generations of all phases."""
        return sum(phase.generations for phase in self.phases.values())

    @property
    def episodes(self) -> int:
        """The number of episodes that all generations drive."""
        return sum(
            phase.generations * phase.population * phase.episodes for phase in self.phases.values()
        )


class TrainController(ControllerConfig, Search):
    """The parameters of the stage train_controller."""

    start_bias: tuple[float, float, float]
    """The first mean's bias for steering, gas and brake, before tanh; its weights are 0."""
