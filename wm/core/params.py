"""Typed access to params.yaml: an unknown key or a bad value is a one-line error that names it.

A stage's parameters are its own section (what does not depend on the scale) over the scale's
preset `presets.<scale>.<stage>`; where both name a key, the section wins, so one
`dvc exp run -S '+train_vae.steps=500'` overrides any scale.

The file is read as DVC reads it, by the same library: `010` is 10 and a key stands once (YAML 1.2).
"""

from __future__ import annotations

import pkgutil
import reprlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from wm.core.errors import UserError

VISION_MODELS = tuple(
    sorted(
        module.name
        for module in pkgutil.iter_modules([str(Path(__file__).parents[1] / "vision" / "models")])
    )
)
"""Names that `vision` may have: the packages in wm/vision/models, none of which is imported."""
STAGES = (
    "collect",
    *(f"train_{name}" for name in VISION_MODELS),
    "encode",
    "train_rnn",
    "train_controller",
    "evaluate",
    "film",
)
"""Names of the stages that may have a section in params.yaml, in an order in which they can run."""
PRESET_STAGES = tuple(stage for stage in STAGES if stage != "film")
"""Names of the stages that have parameters which depend on the scale."""
SCALES = ("smoke", "laptop", "paper")

LARGEST = 2**31 - 1
"""The largest integer of a field that has no upper bound of its own."""
FLOAT32 = (2**-126, (2 - 2**-23) * 2**127)
"""The smallest and the largest of float32's normal numbers."""
SHOWN = 100
"""Characters of a wrong value that an error repeats."""
UNKNOWN = "unknown_key"
"""The type of an error that names a key which the schema does not have."""


class Params(BaseModel):
    """Base of every schema: immutable, strict about unknown keys, with numbers that PyTorch takes.

    No number stands for true or false, nor the other way round. A number with a point is 0 or
    one of float32's normal numbers; an integer is at most LARGEST, unless its field says otherwise.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values: Any) -> Any:
        # says which keys there are, which pydantic does not
        for key in values if isinstance(values, Mapping) else ():
            if key not in cls.model_fields:
                # pydantic cannot pass on a lone surrogate
                named = _name(key).encode("utf-8", "backslashreplace").decode()
                context = {"key": named, "known": ", ".join(cls.model_fields)}
                raise PydanticCustomError(UNKNOWN, "unknown key; known keys: {known}", context)
        return values

    @field_validator("*", mode="wrap")
    @classmethod
    def _plain(
        cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        read = validate(value)
        bounds = cls.model_fields[str(info.field_name)].metadata
        bounded = any(hasattr(bound, "lt") or hasattr(bound, "le") for bound in bounds)
        for given, number in zip(_items(value), _items(read), strict=False):
            if isinstance(number, bool) != isinstance(given, bool) and not isinstance(given, str):
                kind = "true or false" if isinstance(number, bool) else "a number"
                raise PydanticCustomError("kind", "Input should be {kind}", {"kind": kind})
            if isinstance(number, int) and abs(number) > LARGEST and not bounded:
                raise PydanticCustomError("size", f"Input should be at most {LARGEST}")
            if isinstance(number, float) and number and not FLOAT32[0] <= abs(number) <= FLOAT32[1]:
                raise PydanticCustomError(
                    "size", "Input should be 0 or from 1.2e-38 to 3.4e38 in size, as float32 is"
                )
        return read


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""The training seed."""
Size = Annotated[int, Field(ge=1, le=2**16)]
"""Width of a network's layer; a larger one is a mistake, or a damaged file's."""


def _vision_model(name: str) -> str:
    if name not in VISION_MODELS:
        raise ValueError(f"no such vision model; there are {', '.join(VISION_MODELS)}")
    return name


class SharedParams(Params):
    """The keys at the top of params.yaml, shared by all stages."""

    vision: Annotated[str, AfterValidator(_vision_model)]
    """The vision model that encode and everything after it uses, a name of VISION_MODELS."""
    scale: Literal["smoke", "laptop", "paper"]
    """The preset that every stage takes its parameters from."""
    seed: Seed
    """The training seed, from which every random stream but evaluation's tracks is derived."""
    precision: Literal["fp32", "bf16"]
    """Arithmetic of the networks: float32, or products in bfloat16."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device of the networks: the processor, or the GPU."""
    threads: int = Field(ge=1, le=1024)
    """Threads of each training stage; part of the result, as sums depend on their order."""
    workers: int | None = Field(default=None, ge=1, le=2**16)
    """Processes of collect, train_controller and evaluate (null: one a core); never part of the
    result."""
    executor: Literal["process", "dask"] = "process"
    """Where these three drive: in local processes or on a Dask cluster; never part of the
    result."""
    scheduler: str | None = None
    """The Dask scheduler's address, such as tcp://head:8786."""


P = TypeVar("P", bound=Params)


def key(shared: SharedParams, settings: Params, *more: str) -> dict[str, Any]:
    """Returns what the bytes of a computation with networks follow from: of the shared parameters
    the seed, precision, device and `more`, and all of `settings`."""
    of_shared = shared.model_dump(include={"seed", "precision", "device", *more})
    return of_shared | settings.model_dump()


def load_section(name: str, schema: type[P], path: Path) -> P:
    """Returns the section `name` of a file of parameters; UserError as in `load`."""
    document = _read(path)
    if name not in document:
        raise UserError(f"{path}: {name}: missing; add it to the file")
    return _validate(schema, _section(document[name], path, name), path, f"{name}.")


def load_shared(path: Path | str = "params.yaml") -> SharedParams:
    """Returns the shared keys; UserError as in `load`."""
    return _shared(_read(Path(path)), Path(path))


def load(stage: str, schema: type[P], path: Path | str = "params.yaml") -> tuple[SharedParams, P]:
    """Returns the shared keys and the parameters of `stage`.

    Raises UserError, naming the file and the key, for a missing or unreadable file, an unknown
    key at any place that this stage reads, and a value of the wrong type or range.
    """
    path = Path(path)
    document = _read(path)
    shared = _shared(document, path)
    presets = _section(document.get("presets"), path, "presets")
    if unknown := sorted(set(presets) - set(SCALES)):
        raise UserError(
            f"{path}: unknown scale 'presets.{unknown[0]}'; scales: {', '.join(SCALES)}"
        )
    place = f"presets.{shared.scale}"
    preset = _section(presets.get(shared.scale), path, place)
    if unknown := sorted(set(preset) - set(PRESET_STAGES)):
        raise UserError(
            f"{path}: unknown stage '{place}.{unknown[0]}'; stages: {', '.join(PRESET_STAGES)}"
        )
    merged = {
        **_section(preset.get(stage), path, f"{place}.{stage}"),
        **_section(document.get(stage), path, stage),
    }
    return shared, _validate(schema, merged, path, f"{stage}.")


def _shared(document: dict[str, Any], path: Path) -> SharedParams:
    known = {*SharedParams.model_fields, *STAGES, "presets"}
    if unknown := sorted(set(document) - known):
        raise UserError(
            f"{path}: unknown key '{unknown[0]}'; known keys: {', '.join(sorted(known))}"
        )
    top = {key: document[key] for key in SharedParams.model_fields if key in document}
    return _validate(SharedParams, top, path, "")


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        with warnings.catch_warnings(action="ignore"):  # of an anchor that is used twice, say
            document = YAML(typ="safe").load(text)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run from the repository's root") from None
    except (MemoryError, OSError):
        raise
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise UserError(f"{path}: not valid YAML: {place}{error.problem}") from None
    except Exception as error:  # whatever the reader makes of any bytes: a date like 2026-99-99
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not valid YAML: {reason}") from None
    return _section(document, path, "the file")


def _section(value: Any, path: Path, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(f"{path}: {name} must be a mapping of keys to values, not {_shown(value)}")
    return {_name(key): item for key, item in value.items()}


def _name(key: Any) -> str:
    return key if isinstance(key, str) else _shown(key)


def _shown(value: Any) -> str:
    try:
        text = reprlib.repr(value)  # of a few items, however many there are by aliases of aliases
    except ValueError:  # an integer of thousands of digits
        text = f"so large an {type(value).__name__}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _validate(schema: type[P], values: dict[str, Any], path: Path, prefix: str) -> P:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        first = _first(error)
        if first["type"] == UNKNOWN:
            reason = first["msg"]
        elif first["type"] == "missing":
            reason = "missing; add it to the file"
        else:
            reason = f"{first['msg']}, not {_shown(first['input'])}"
        raise UserError(f"{path}: {prefix}{_key(first)}: {reason}") from None


def validated(schema: type[P], values: Mapping[str, Any], path: Path | str, remedy: str) -> P:
    """Returns `values`, which were read from the file `path`, as `schema`.

    Raises UserError with the first fault, naming the file and the key, and with `remedy`.
    """
    try:
        return schema(**values)
    except ValidationError as error:
        first = _first(error)
        raise UserError(f"{path}: {_key(first)}: {first['msg']}; {remedy}") from None


def _first(error: ValidationError) -> Mapping[str, Any]:
    # a mistyped key is also a missing one: name what the user typed
    return min(error.errors(), key=lambda found: found["type"] != UNKNOWN)


def _key(error: Mapping[str, Any]) -> str:
    unknown = [error["ctx"]["key"]] if error["type"] == UNKNOWN else []
    return ".".join(map(str, [*error["loc"], *unknown]))
