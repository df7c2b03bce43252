"""What of params.yaml tells a study's runs apart, and what they start from, to be compared."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from study.grid import OURS, THEIRS, Cell
from wm.core.errors import UserError
from wm.core.params import VISION_MODELS

NO_RESULT = ("workers", "executor", "scheduler", "film")
"""Keys of params.yaml that change no result of a run."""
OF_EVERY_CELL = ("vision", "seed")
"""Keys that every cell sets."""


def read(text: str) -> Any:
    """Returns what YAML says, as DVC reads it."""
    return YAML(typ="safe").load(text)


def missing(changes: Iterable[str], document: dict[str, Any]) -> str | None:
    """Returns the first of `changes` (KEY=VALUE) whose key the document, of params.yaml, does not
    have; None if it has all of them."""
    for change in changes:
        *path, last = _names(change)
        try:
            section = _section(document, path)
        except (KeyError, TypeError):
            return change
        if not isinstance(section, dict) or last not in section:
            return change
    return None


def check(settings: Sequence[str], cells: Iterable[Cell], document: dict[str, Any]) -> None:
    """Raises UserError unless each of a study's settings is KEY=VALUE, with a key that params.yaml,
    read as `document`, has and that none of the cells sets itself."""
    setters: dict[str, str] = dict.fromkeys(OF_EVERY_CELL, "every cell")
    for cell in cells:
        for change in cell.own_changes(document["scale"]):
            setters.setdefault(change.partition("=")[0], cell.name)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or missing([setting], document):
            raise UserError(f"-S {setting}: not KEY=VALUE with a key that params.yaml has")
        try:
            json.dumps(read(value))
        except (YAMLError, ValueError, TypeError):  # or YAML has it and JSON does not, as a date
            raise UserError(f"-S {setting}: no value that params.yaml can have") from None
        if key == "scale":
            raise UserError(f"-S {setting}: set and commit it in params.yaml instead")
        for own, setter in setters.items():
            if own == key or own.startswith(f"{key}."):
                raise UserError(f"-S {setting}: {setter} sets {own} itself; leave it out")


def changed(document: dict[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """Returns the content of params.yaml after `changes`, whose keys it has."""
    result = copy.deepcopy(document)
    for change in changes:
        *path, last = _names(change)
        _section(result, path)[last] = read(change.partition("=")[2])
    return result


def has(document: dict[str, Any], values: dict[str, Any]) -> bool:
    """Returns whether the document, of params.yaml, has these values, by their keys."""
    try:
        return all(_section(document, _names(key)) == value for key, value in values.items())
    except (KeyError, TypeError):
        return False


def digest(document: dict[str, Any]) -> str:
    """Returns 12 hex digits that stand for what the cells of a study start from, params.yaml with
    the study's settings: equal where only keys of NO_RESULT and of OF_EVERY_CELL, the presets of
    other scales, and the sections of vision models besides the pair's differ. That a model that
    came later has other parameters in one cell than in another is not noticed."""
    scale, pair = document["scale"], (OURS, THEIRS)
    later = {f"train_{name}" for name in VISION_MODELS if name not in pair}
    left_out = {*NO_RESULT, *OF_EVERY_CELL, *later}
    common = {key: of for key, of in document.items() if key not in left_out}
    preset = document["presets"][scale]
    common["presets"] = {scale: {key: of for key, of in preset.items() if key not in later}}
    return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()[:12]


def _names(change: str) -> list[str]:
    """Returns the names that lead to the key of a change, KEY=VALUE or KEY alone."""
    return change.partition("=")[0].split(".")


def _section(document: dict[str, Any], path: Sequence[str]) -> Any:
    return reduce(lambda section, name: section[name], path, document)
