"""How the memory is trained: the parameters of the stage train_rnn."""

from __future__ import annotations

from pydantic import Field

from wm.core.params import Params
from wm.memory.networks.mdnrnn import MdnRnnConfig


class Training(Params):
    """How an MDN-RNN is trained on windows of episodes."""

    steps: int = Field(ge=0)
    """Optimisation steps; 0 is none, the study's control."""
    batch_size: int = Field(ge=1)
    """Windows of a step."""
    sequence_length: int = Field(ge=1)
    """Steps of a window; where no episode is that long, those of the longest episode."""
    learning_rate: float = Field(gt=0)
    """Adam's learning rate."""
    clip: float = Field(gt=0)
    """The largest absolute value of the gradient's numbers; larger ones are clipped."""
    validate_every: int = Field(ge=1)
    """Steps between measurements on held-out windows."""
    validation_batches: int = Field(ge=1)
    """Batches of held-out windows that are measured."""


class TrainRnn(MdnRnnConfig, Training):
    """The parameters of the stage train_rnn."""
