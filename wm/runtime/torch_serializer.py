"""States of a checkpoint that hold tensors."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import torch


class TorchSerializer:
    """Stores tensors, numbers, strings, lists and dicts; implements
    wm.runtime.checkpoint.Serializer."""

    def dumps(self, state: Mapping[str, Any]) -> bytes:
        """Returns a state as torch's file format."""
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        return buffer.getvalue()

    def loads(self, content: bytes) -> Any:
        """Returns the state that torch's file format holds; code in it is refused."""
        return torch.load(io.BytesIO(content), weights_only=True)
