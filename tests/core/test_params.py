import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from verify.stage import schema_of
from verify.workspace import ROOT
from wm.core.errors import UserError
from wm.core.params import STAGES, Params, SharedParams, load, load_shared
from wm.vision.models.vaegan.recipes import RECIPES

GLOBALS = "vision: vae\nscale: smoke\nseed: 0\nprecision: fp32\nthreads: 1\nworkers: null\n"


class Schema(Params):
    steps: int = Field(gt=0)
    learning_rate: float = 0.1


def write(path: Path, text: str) -> Path:
    file = path / "params.yaml"
    file.write_text(text)
    return file


def test_preset_of_the_scale_under_the_section(tmp_path: Path) -> None:
    text = GLOBALS + (
        "train_vae: {learning_rate: 0.5}\n"
        "presets:\n  smoke: {train_vae: {steps: 2, learning_rate: 0.7}}\n"
        "  paper: {train_vae: {steps: 9}}\n"
    )
    shared, params = load("train_vae", Schema, write(tmp_path, text))
    assert shared == SharedParams(
        vision="vae", scale="smoke", seed=0, precision="fp32", threads=1, workers=None
    )
    assert params == Schema(steps=2, learning_rate=0.5)


def test_shared_keys_are_read_without_a_stage(tmp_path: Path) -> None:
    file = write(tmp_path, GLOBALS + "train_vae: {steps: 1}\n")
    assert load_shared(file) == load("train_vae", Schema, file)[0]
    with pytest.raises(UserError, match=r"params\.yaml: unknown key 'trian_vae'"):
        load_shared(write(tmp_path, GLOBALS + "trian_vae: {steps: 1}\n"))


def test_exponent_without_a_dot_is_a_number(tmp_path: Path) -> None:
    # YAML 1.1 reads 1e-4 as a string
    text = GLOBALS + "train_vae: {steps: 1, learning_rate: 1e-4}\n"
    assert load("train_vae", Schema, write(tmp_path, text))[1].learning_rate == 1e-4


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (GLOBALS + "train_vae: {stepz: 1}\n", "train_vae.stepz: unknown key"),
        (GLOBALS + "train_vae: {steps: 0}\n", "train_vae.steps: Input should be greater than 0"),
        (GLOBALS + "train_vae: {steps: many}\n", "train_vae.steps"),
        (GLOBALS + "train_vae: {}\n", "train_vae.steps: missing"),
        (GLOBALS + "train_vae: 3\n", "train_vae must be a mapping"),
        (GLOBALS + 'train_vae: {"a\\nb": 1}\n', "train_vae.a b: unknown key"),
        (GLOBALS + "trian_vae: {steps: 1}\n", "unknown key 'trian_vae'"),
        (GLOBALS.replace("smoke", "laptob") + "train_vae: {steps: 1}\n", "scale: "),
        (GLOBALS + "presets: {laptob: {}}\n", "unknown scale 'presets.laptob'"),
        (
            GLOBALS + "presets: {smoke: {train_vea: {}}}\n",
            "unknown stage 'presets.smoke.train_vea'",
        ),
        (GLOBALS.replace("vae", "gan"), "vision: "),
        (GLOBALS.replace("seed: 0", "seed: -1"), "seed: "),
        (GLOBALS.replace("seed: 0", "seed: 100000000000000000000"), "seed: "),
        (GLOBALS.replace("threads: 1", "threads: 3000000000"), "threads: "),
        ("a: [", "not valid YAML"),
        ("[1, 2]", "must be a mapping"),
    ],
)
def test_bad_input_is_one_line_that_names_the_key(tmp_path: Path, text: str, named: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UserError) as error:
        load("train_vae", Schema, file)
    assert str(error.value).startswith(str(file))
    assert named in str(error.value)
    assert "\n" not in str(error.value)


SHARED = yaml.safe_load((ROOT / "params.yaml").read_text())


def loads_or_says_why(folder: Path, content: bytes, stage: str) -> None:
    file = folder / "params.yaml"
    file.write_bytes(content)
    try:
        load(stage, schema_of(stage), file)
    except UserError as error:
        assert str(error).startswith(f"{file}: ")
        assert "\n" not in str(error)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def places(draw: st.DrawFn) -> tuple[str, ...]:
    """Of a mapping in params.yaml."""
    place: tuple[str, ...] = ()
    here = SHARED
    while isinstance(here, dict) and here and draw(st.booleans()):
        place += (draw(st.sampled_from(sorted(here))),)
        here = here[place[-1]]
    return place if isinstance(here, dict) else place[:-1]


@pytest.mark.at_large
@given(place=places(), data=st.data(), stage=st.sampled_from(STAGES))
def test_any_change_to_params_is_read_or_refused_in_one_line(
    place: tuple[str, ...], data: st.DataObject, stage: str, tmp_path_factory: Any
) -> None:
    document = copy.deepcopy(SHARED)
    here = document
    for key in place:
        here = here[key]
    known = [st.sampled_from(sorted(here))] if here else []
    key = data.draw(st.one_of(*known, st.text()))
    if data.draw(st.booleans()):
        here[key] = data.draw(ANYTHING)
    else:
        here.pop(key, None)
    folder = tmp_path_factory.getbasetemp()
    loads_or_says_why(folder, yaml.safe_dump(document).encode(), stage)


@pytest.mark.at_large
@given(content=st.binary() | st.text().map(str.encode), stage=st.sampled_from(STAGES))
def test_any_bytes_are_refused_in_one_line(
    content: bytes, stage: str, tmp_path_factory: Any
) -> None:
    loads_or_says_why(tmp_path_factory.getbasetemp(), content, stage)


@pytest.mark.parametrize(
    "content", ["[" * 10_000, "seed: 2026-99-99", "&a [*a]", "seed: " + "9" * 5000, "a: !!python/x"]
)
def test_hostile_yaml_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(content)
    with pytest.raises(UserError) as error:
        load("collect", schema_of("collect"), file)
    assert "\n" not in str(error.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.yaml: not found"):
        load("train_vae", Schema, tmp_path / "absent.yaml")


def test_both_vision_models_are_trained_alike_at_the_laptop_scale() -> None:
    """What the comparison of the two rests on: the VAE-GAN's warm-up is the VAE's training."""
    everything = yaml.safe_load((ROOT / "params.yaml").read_text())
    presets = everything["presets"]["laptop"]
    plain, gan = presets["train_vae"], presets["train_vaegan"]
    recipe = RECIPES["anchored"]
    assert gan["networks"] == "vae"
    assert (plain["steps"], plain["batch_size"]) == (gan["steps"], gan["batch_size"])
    assert (plain["learning_rate"], plain["decay"]) == (recipe.rate, recipe.decay)
    assert (plain["kl_weight"], plain["kerb_weight"]) == (recipe.kl, recipe.kerb)
    assert everything["train_vae"]["free_bits"] == recipe.free_bits


def test_every_stage_with_parameters_has_a_schema_to_try() -> None:
    """Or the properties above would try nothing of it."""
    for stage in STAGES:
        assert (schema_of(stage) is Params) == (stage in ("measure_rnn", "costs")), stage
