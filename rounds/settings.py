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
    except (YAMLError, ValueError) as error:  # not UTF-8, or a date like 2026-99-99
        reason = " ".join(str(error).split())
        raise UserError(f"{PATH}: not valid YAML: {reason}") from None
    section = document.get(stage) if isinstance(document, dict) else None
    if not isinstance(section, dict):
        raise UserError(f"{PATH}: {stage}: missing; git checkout {PATH} brings it back")
    named = {str(key): value for key, value in section.items()}
    return validated(schema, named, f"{PATH}: {stage}", "mend it")
