"""The parameters of the stage train_controller."""

from __future__ import annotations

from pydantic import Field

from wm.control.policy.controller import ControllerConfig


class TrainController(ControllerConfig):
    """The parameters of the stage train_controller."""

    population: int = Field(ge=4)
    """Candidates of a generation."""
    episodes: int = Field(ge=1)
    """Episodes of a candidate, on tracks that all of a generation share; new ones for the next."""
    z_generations: int = Field(ge=0)
    """First generations, with any weights of h held at 0; then come `generations`."""
    z_sigma: float = Field(gt=0)
    """The step size at the start of z_generations."""
    generations: int = Field(ge=1)
    """Generations of h's weights as well, or of the same where inputs are z."""
    memory_components: int | None = Field(ge=1)
    """Principal components of h that have a weight in them; null: each number of h has."""
    memory_tracks: int = Field(ge=1)
    """Tracks that are driven to find the components."""
    sigma: float = Field(gt=0)
    """The step size at the start of `generations`."""
    start_bias: tuple[float, float, float]
    """The first mean's bias for steering, gas and brake, before tanh; its weights are 0."""
    weight_decay: float = Field(ge=0)
    """Taken off the fitness, times the mean square of a candidate's weights."""
    max_steps: int = Field(ge=1)
    """The number of steps after which an episode is truncated."""
    patience: int | None = Field(ge=1)
    """Steps without a new tile that end an episode (null: none do)."""
    shard_candidates: int = Field(ge=1)
    """Candidates that a worker drives in lockstep, and tracks where there is only one controller;
    part of the result's last bits."""
    validate_every: int = Field(ge=1)
    """Generations between validations of the mean."""
    validation_episodes: int = Field(ge=1)
    """Episodes of a validation, always on the same tracks, none of them evaluate's."""
