"""The parameters that every vision model's training has."""

from __future__ import annotations

from pydantic import Field

from wm.core.params import Params


class TrainingSettings(Params):
    """The parameters that the training of every vision model has."""

    steps: int = Field(ge=1)
    """Optimisation steps."""
    batch_size: int = Field(ge=1)
    """Frames of an optimisation step."""
    validate_every: int = Field(ge=1)
    """Steps between measurements on the held-out frames."""
    held_out_frames: int = Field(ge=1)
    """The most frames that are measured; they are evenly spaced over the held-out episodes."""
