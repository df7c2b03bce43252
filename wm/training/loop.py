"""The training loop of all models: resumable, with a progress bar and a curve.

A batch and a step's noise are functions of the step's number alone, so a checkpoint is the
learner's state, the step and the curve: no generator's state is saved, and a run that was killed
ends with the bytes of one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import torch

from wm.core import seeding
from wm.core.errors import UserError
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.progress import Progress

HELD_OUT = "held_out_"
"""Beginning of the names, in a curve, of what was measured on held-out data."""

Batch = TypeVar("Batch", contravariant=True)


class Learner(Protocol[Batch]):
    """A model with its optimisers."""

    def step(self, batch: Batch, noise: torch.Generator) -> Mapping[str, torch.Tensor | float]:
        """Takes one optimisation step; returns its losses (scalars)."""

    def state_dict(self) -> dict[str, Any]:
        """Returns all that the next step depends on: weights, optimisers, averages."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what state_dict returned."""


B = TypeVar("B")


def train(
    learner: Learner[B],
    batch: Callable[[int], B],
    validate: Callable[[], Mapping[str, float]],
    *,
    steps: int,
    validate_every: int,
    seed: int,
    checkpoint: Checkpoint,
    stage: str,
) -> list[dict[str, float]]:
    """Trains for `steps` steps and returns the curve.

    batch(step) gives the batch of a step, a pure function of it. validate() measures on held-out
    data, every `validate_every` steps and after the last. A row of the curve holds the step, the
    means of the losses since the row before, and validate()'s numbers as `held_out_<name>`. The
    noise of a step is drawn from (seed, stage, step).

    Raises UserError when a loss, a held-out number or a weight is not finite; the checkpoint then
    still holds the last good state.
    """
    start, rows = 0, list[dict[str, float]]()
    sums = dict[str, list[float]]()  # name -> [total, count]: a loss may set in late
    if (saved := checkpoint.load()) is not None:
        learner.load_state_dict(saved["learner"])
        start, rows, sums = saved["step"], saved["rows"], saved["sums"]
    with Progress(stage, steps, "steps", done=start) as progress:
        for step in range(start, steps):
            noise = torch.Generator().manual_seed(seeding.integer(seed, stage, "noise", step))
            logs = {name: float(value) for name, value in learner.step(batch(step), noise).items()}
            _demand_finite(logs, stage, step)
            for name, value in logs.items():
                total, count = sums.get(name, (0.0, 0.0))
                sums[name] = [total + value, count + 1]
            progress.advance(1, **logs)
            last = step + 1 == steps
            if last or (step + 1) % validate_every == 0:
                means = {name: total / count for name, (total, count) in sums.items()}
                held_out = {f"{HELD_OUT}{name}": value for name, value in validate().items()}
                _demand_finite(held_out, stage, step)
                rows.append({"step": step + 1, **means, **held_out})
                sums = {}
            if last or checkpoint.due():
                state = learner.state_dict()
                # a step's loss is from before its update
                _demand_finite(_sums(state), stage, step)
                checkpoint.save({"learner": state, "step": step + 1, "rows": rows, "sums": sums})
    return rows


def _demand_finite(numbers: Mapping[str, float], stage: str, step: int) -> None:
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise UserError(
                f"{stage}: '{name}' is {value} at step {step}; lower the learning rate or use "
                "precision: fp32"
            )


def _sums(state: Mapping[Any, Any], prefix: str = "") -> dict[str, float]:
    """Returns the sum of every tensor of a state, by name: finite only if all its numbers are."""
    found = dict[str, float]()
    for key, value in state.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= _sums(value, f"{name}.")
        elif isinstance(value, torch.Tensor) and value.is_floating_point():
            found[name] = float(value.detach().double().abs().sum())
    return found
