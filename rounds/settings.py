"""The parameters of the rounds' stages, from rounds/params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from wm.core.errors import UserError
from wm.core.params import Params, validated

PATH = Path("rounds/params.yaml")
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
