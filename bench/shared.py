"""What the parts of the bench take from params.yaml."""

from __future__ import annotations

from typing import Literal

from wm.core.params import SharedParams, load_shared


def on_the_processor(precision: Literal["fp32", "bf16"] = "fp32") -> SharedParams:
    """Returns the shared keys of params.yaml for a part that computes on the CPU in `precision`,
    whatever device and precision the file names."""
    return load_shared().model_copy(update={"precision": precision, "device": "cpu"})
