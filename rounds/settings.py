"""The parameters of the rounds' stages, from rounds/params.yaml."""

from __future__ import annotations

from pathlib import Path

from wm.core import params

PATH = Path("rounds/params.yaml")


def load(stage: str, schema: type[params.P]) -> params.P:
    """Returns the parameters of a stage of the rounds; UserError, naming the key, for a fault."""
    return params.load_section(stage, schema, PATH)
