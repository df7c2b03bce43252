"""What must never change, held by tests instead of by a rule in prose."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from wm.params import STAGES

ROOT = Path(__file__).parent.parent
MODULES = sorted(path.stem for path in (ROOT / "wm").glob("*.py") if path.stem != "__init__")
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

FOUNDATION = {"errors", "params", "seeding", "artifacts"}
NETS = {"convolutions", "vae", "vaegan", "adversarial", "mdnrnn", "controller"}
LOOPS = {"training", "evolution", "executor", "rollout"}


def imports(path: Path) -> set[str]:
    """The project's own modules that a file imports, as paths relative to the root."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            file = Path(*name.split(".")).with_suffix(".py")
            if name.split(".")[0] in ("wm", "stages") and (ROOT / file).is_file():
                found.add(file.as_posix())
    return found


def closure(file: str) -> set[str]:
    """A file and everything of the project that it imports, directly or not."""
    seen, todo = set(), [file]
    while todo:
        here = todo.pop()
        if here not in seen:
            seen.add(here)
            todo += imports(ROOT / here)
    return seen


def direct(module: str) -> set[str]:
    return {Path(file).stem for file in imports(ROOT / "wm" / f"{module}.py")}


def test_imports_have_no_cycle() -> None:
    for module in MODULES:
        file = f"wm/{module}.py"
        assert all(file not in closure(other) for other in imports(ROOT / file)), module


def test_the_package_never_imports_stages_and_stages_never_each_other() -> None:
    for file in [*(ROOT / "wm").glob("*.py"), *(ROOT / "stages").glob("*.py")]:
        assert not {name for name in imports(file) if name.startswith("stages/")}, file


def test_foundation_stands_on_itself() -> None:
    for module in FOUNDATION:
        assert direct(module) <= FOUNDATION, module


def test_networks_know_no_environment_and_no_loop() -> None:
    for module in NETS:
        everything = {Path(file).stem for file in closure(f"wm/{module}.py")}
        assert not everything & {"car_racing", "rollout", "agent", *LOOPS}, module


def test_loops_know_no_model_and_no_environment() -> None:
    for module in LOOPS:
        everything = {Path(file).stem for file in closure(f"wm/{module}.py")}
        assert not everything & {"car_racing", "agent", "vision", *NETS}, module


def test_one_noun_from_the_stage_to_its_metrics() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert set(DVC) == set(STAGES)
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} == {*STAGES, "__init__"}
    assert set(STAGES) <= set(params)
    for stage, spec in DVC.items():
        assert spec["cmd"] == f"python -m stages.{stage}"
        metrics = [name for entry in spec["metrics"] for name in entry]
        assert metrics == [f"metrics/{stage}.json"]
        assert f"presets.${{scale}}.{stage}" in spec["params"]


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_deps_are_the_import_closure(stage: str) -> None:
    # a module missing here would let DVC take stale results for current ones
    code = {dep for dep in DVC[stage]["deps"] if dep.endswith(".py")}
    assert code == {"stages/__init__.py", *closure(f"stages/{stage}.py")}


@pytest.mark.parametrize("stage", STAGES)
def test_stages_are_thin(stage: str) -> None:
    assert len((ROOT / "stages" / f"{stage}.py").read_text().splitlines()) <= 80


def test_no_stage_depends_on_a_folder_of_code() -> None:
    # a folder's hash takes in __pycache__
    for spec in DVC.values():
        assert not {"wm", "stages"} & {dep.rstrip("/") for dep in spec["deps"]}


CODE = [*(ROOT / "wm").glob("*.py"), *(ROOT / "stages").glob("*.py")]
TOOLS = [file for folder in ("study", "share", "bench", "verify")
         for file in (ROOT / folder).glob("*.py")]  # fmt: skip
EXECUTES = re.compile(
    r"pickle\.loads?\(|allow_pickle=True|weights_only=False"
    r"|torch\.load\((?![^\n]*weights_only=True)"
    r"|yaml\.(?:unsafe_|full_)?load\(|Loader=|(?<![\w.])(?:eval|exec)\("
)
CLOCK = re.compile(
    r"\btime\.(?:time|time_ns|ctime|gmtime|localtime|strftime)\(|\bdatetime\b|from time import"
)


@pytest.mark.parametrize("text", [
    "pickle.load(file)", "np.load(file, allow_pickle=True)", "torch.load(file)",
    "torch.load(file, weights_only=False)", "yaml.load(text)", "yaml.unsafe_load(text)",
    "yaml.load(text, Loader=yaml.Loader)", "eval(text)", "exec(text)",
])  # fmt: skip
def test_what_executes_is_found(text: str) -> None:
    assert EXECUTES.search(text)
    assert not EXECUTES.search("torch.load(file, weights_only=True), yaml.safe_load, model.eval()")


def test_nothing_unpickles() -> None:
    """But a cluster's worker what its scheduler sends: Dask's protocol is pickle in any case."""
    for file in {*CODE, *TOOLS} - {ROOT / "wm/cluster.py"}:
        assert not EXECUTES.search(file.read_text()), file


def test_nothing_reads_the_wall_clock() -> None:
    """Which may go backwards, and differs from run to run."""
    for text in ("time.time_ns()", "from time import time", "datetime.now()"):
        assert CLOCK.search(text)
    for file in CODE:
        assert not CLOCK.search(file.read_text()), file
