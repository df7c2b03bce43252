"""What must never change, held by tests instead of by a rule in prose."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from verify.stage import STAGES
from wm.core.params import VISION_MODELS
from wm.runtime import perf

ROOT = Path(__file__).parent.parent
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ROUNDS = {
    name: spec.get("do", spec)
    for name, spec in yaml.safe_load((ROOT / "rounds/pipeline.yaml").read_text())["stages"].items()
}
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "wm").rglob("*.py"))

ROOMS = {
    "core": set(),
    "runtime": {"core"},
    "nn": {"core"},
    "training": {"core", "runtime"},
    "env": {"core"},
    "env/fast": {"core"},
    "env/exact": {"core", "env", "env/fast"},
    "drive": {"core"},
    "exploration": {"core", "drive"},
    "vision/networks": {"core", "nn"},
    "vision/metrics": {"core", "nn", "vision/networks"},
    "vision/training": {"core", "nn", "runtime", "training", "vision/networks", "vision/metrics"},
    **{
        f"vision/models/{name}": {"core", "nn", "vision/networks", "vision/training"}
        for name in VISION_MODELS
    },
    "memory": {"core"},
    "memory/networks": {"core", "nn"},
    "memory/training": {"core", "nn", "memory", "memory/networks"},
    "control/policy": {"core", "nn", "drive", "vision/networks", "memory/networks"},
    "control/training": {"core", "runtime", "nn", "memory", "memory/networks", "control/policy"},
    "dream": {"core", "vision/networks", "memory/networks", "control/policy"},
    "control/dream_page": {"core", "nn", "vision/networks", "memory/networks", "control/policy"},
    "report": {"core", "nn", "vision/networks", "memory", "memory/networks"},
}
"""The rooms of wm/ and, for each, the other rooms that it may import."""
NEUTRAL = "wm/runtime/"
"""The room that changes no result, and that no stage depends on in DVC."""
LARGEST_ROOM = 12

NETWORKS = [
    "wm/vision/networks/convolutions.py",
    "wm/vision/networks/conv_vae.py",
    *(f"wm/vision/models/{name}/networks.py" for name in VISION_MODELS),
    *(f"wm/vision/models/{name}/learner.py" for name in VISION_MODELS),
    "wm/memory/networks/mdnrnn.py",
    "wm/memory/training/learner.py",
    "wm/control/policy/controller.py",
]
LOOPS = [
    "wm/training/loop.py",
    "wm/control/training/evolution.py",
    "wm/runtime/executor.py",
    "wm/drive/rollout.py",
]


def imports(file: str) -> set[str]:
    """The project's own modules that a file imports, as paths relative to the root."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import, which these tests do not follow"
            assert node.module is not None
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            path = Path(*name.split(".")).with_suffix(".py")
            if (ROOT / path).is_file():
                found.add(path.as_posix())
    return found


def closure(*files: str) -> set[str]:
    """Files and everything of the project that they import, directly or not."""
    reached, todo = set(), list(files)
    while todo:
        here = todo.pop()
        if here not in reached:
            reached.add(here)
            todo += imports(here)
    return reached


def stage_closure(stage: str, vision: str) -> set[str]:
    """The code that a stage runs while params.yaml names `vision`, without the neutral room.

    The registry imports a vision model by its name: the trained one's networks, or, in the stage
    that trains it, its learner.
    """
    command = DVC[stage]["cmd"].removeprefix("python -m ").split()
    script = command[0].replace(".", "/") + ".py"
    files = [script, "stages/__init__.py"]
    if "wm/vision/networks/registry.py" in closure(script):
        part = f"{command[1]}/learner" if len(command) > 1 else f"{vision}/networks"
        files.append(f"wm/vision/models/{part}.py")
    reached = closure(*files) - {"stages/__init__.py"}
    return {file for file in reached if not file.startswith(NEUTRAL)}


def code_deps(stage: str, vision: str) -> list[str]:
    """The code that dvc.yaml says a stage depends on."""
    deps = [dep.replace("${vision}", vision) for dep in DVC[stage]["deps"]]
    return [dep for dep in deps if dep.startswith(("wm/", "stages/"))]


def covers(dep: str, file: str) -> bool:
    """Whether a file is a dependency, or lies in the folder that is one."""
    return file == dep or file.startswith(f"{dep}/")


def room(file: str) -> str:
    return Path(file).parent.relative_to("wm").as_posix()


def test_every_module_is_in_a_room_and_no_room_is_empty_or_crowded() -> None:
    modules = [file for file in MODULES if not file.endswith("__init__.py")]
    assert {room(file) for file in modules} == set(ROOMS)
    for folder in [ROOT / "wm", *(path for path in (ROOT / "wm").rglob("*") if path.is_dir())]:
        if folder.name != "__pycache__":
            entries = [p for p in folder.iterdir() if p.name not in ("__pycache__", "__init__.py")]
            assert 1 <= len(entries) <= LARGEST_ROOM, f"{folder}: make a room of a part of it"


def test_a_package_holds_only_a_docstring() -> None:
    """DVC depends on rooms, not on the packages above them: nothing may run there."""
    packages = [file for file in MODULES if file.endswith("__init__.py")]
    assert len(packages) > len(ROOMS)
    for file in packages:
        (only,) = ast.parse((ROOT / file).read_text()).body
        assert isinstance(only, ast.Expr), file
        assert isinstance(only.value, ast.Constant), file
    assert closure("stages/__init__.py") == {"stages/__init__.py", "wm/core/kernels.py"}


def test_rooms_import_one_way() -> None:
    for file in MODULES:
        if not file.endswith("__init__.py"):
            others = {room(name) for name in imports(file)} - {room(file)}
            assert others <= ROOMS[room(file)], file
    done: set[str] = set()
    while missing := set(ROOMS) - done:
        free = {name for name in missing if ROOMS[name] <= done}
        assert free, f"a circle among {missing}"
        done |= free


def test_every_import_that_a_room_may_make_is_made() -> None:
    for name, allowed in ROOMS.items():
        if name.startswith("vision/models/"):
            continue  # each takes what it needs
        files = [file for file in MODULES if room(file) == name]
        made = {room(other) for file in files for other in imports(file)}
        assert allowed <= made, name


def test_imports_have_no_cycle() -> None:
    for file in MODULES:
        assert all(file not in closure(other) for other in imports(file)), file


def test_the_package_never_imports_stages_and_stages_never_each_other() -> None:
    stages = [f"stages/{path.name}" for path in (ROOT / "stages").glob("*.py")]
    assert len(stages) > 7
    for file in [*MODULES, *stages]:
        assert not {name for name in imports(file) if name.startswith("stages/")}, file


def test_networks_and_learners_know_no_environment_and_no_loop() -> None:
    for file in NETWORKS:
        everything = closure(file)
        rooms = {room(name) for name in everything}
        assert not rooms & {"env", "env/fast", "drive", "exploration"}, file
        assert not everything & {"wm/control/policy/agent.py", *LOOPS}, file


def test_networks_know_no_training() -> None:
    for file in NETWORKS:
        if not file.endswith("learner.py"):
            assert not {name for name in closure(file) if "/training/" in name}, file


def test_loops_know_no_model_and_no_environment() -> None:
    for file in LOOPS:
        rooms = {room(name) for name in closure(file)}
        assert not rooms & {"env", "env/fast", "nn", "control/policy"}, file
        assert not {name for name in rooms if name.startswith(("vision", "memory"))}, file


def test_one_noun_from_the_stage_to_its_metrics() -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert set(DVC) == set(STAGES)
    trainers = {f"train_{name}" for name in VISION_MODELS}
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")}
    assert scripts == {*STAGES, "train_vision", "__init__", "wm"} - trainers
    # a measurement is named after the stage whose model it is of; a film and a page have no
    # numbers, and what a run cost is no output
    elsewhere = {"train_rnn": [], "measure_rnn": ["metrics/train_rnn.json"], "film": [],
                 "dream_page": [], "costs": []}  # fmt: skip
    for stage, spec in DVC.items():
        name = f"train_vision {stage.removeprefix('train_')}" if stage in trainers else stage
        assert spec["cmd"] == f"python -m stages.{name}"
        metrics = [name for entry in spec.get("metrics", []) for name in entry]
        assert metrics == elsewhere.get(stage, [f"metrics/{stage}.json"])
        assert (stage in spec.get("params", [])) == (stage in params), stage
        for preset in params["presets"].values():
            key = f"presets.${{scale}}.{stage}"
            assert (key in spec.get("params", [])) == (stage in preset), stage
        assert stage in params or stage in ("measure_rnn", "dream_page", "costs")


@pytest.mark.parametrize("vision", VISION_MODELS)
@pytest.mark.parametrize("stage", STAGES)
def test_dvc_deps_are_the_rooms_that_a_stage_imports(stage: str, vision: str) -> None:
    # a module that no dependency covers would let DVC take stale results for current ones
    files, deps = stage_closure(stage, vision), code_deps(stage, vision)
    assert len(files) > 5
    for file in files:
        assert any(covers(dep, file) for dep in deps), file
    for dep in deps:
        assert (ROOT / dep).exists(), dep
        assert any(covers(dep, file) for file in files), f"{dep} is not used"
    assert len(deps) <= 11


@pytest.mark.parametrize("stage", sorted(ROUNDS))
def test_the_deps_of_a_round_are_what_its_stages_import(stage: str) -> None:
    deps = [dep.replace("${vision}", "vae") for dep in ROUNDS[stage]["deps"]]
    deps = [dep for dep in deps if dep.startswith(("wm/", "rounds/"))]
    reached = closure(f"rounds/{stage}.py")
    if "wm/vision/networks/registry.py" in reached:
        reached |= closure("wm/vision/models/vae/networks.py")
    files = {file for file in reached if not file.startswith(NEUTRAL)}
    for file in files:
        assert any(covers(dep, file) for dep in deps), file
    for dep in deps:
        assert any(covers(dep, file) for file in files), f"{dep} is not used"


def test_no_stage_depends_on_what_changes_no_result() -> None:
    for stage in STAGES:
        for vision in VISION_MODELS:
            assert not any(dep.startswith(NEUTRAL.rstrip("/")) for dep in code_deps(stage, vision))


def test_costs_are_looked_at_again_whenever_a_result_changes() -> None:
    results = [dep for dep in DVC["costs"]["deps"] if dep.startswith(("metrics/", "plots/"))]
    assert sorted(results) == sorted(perf.RESULTS.values())


def test_dvc_yaml_is_short() -> None:
    others = len(VISION_MODELS) - 2  # besides the pair, each with a stage
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 240 + 25 * others


def test_collecting_knows_no_network() -> None:
    """A worker that steps Box2D alone starts in a second, without torch."""
    everything = closure("stages/collect.py", "stages/__init__.py")
    rooms = {room(file) for file in everything if file.startswith("wm/")}
    assert not {name for name in rooms if name.startswith(("nn", "vision", "memory", "control"))}
    for file in everything:
        modules = [
            name
            for node in ast.walk(ast.parse((ROOT / file).read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
        ]
        assert not {"torch", "torchmetrics"} & {str(name).split(".")[0] for name in modules}, file


def test_stages_are_thin() -> None:
    scripts = list((ROOT / "stages").glob("*.py"))
    assert len(scripts) > 7
    for script in scripts:
        assert len(script.read_text().splitlines()) <= 80, script


CODE = [*(ROOT / "wm").rglob("*.py"), *(ROOT / "stages").glob("*.py")]
FOLDERS = ("study", "share", "bench", "verify", "play", "rounds")
TOOLS = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
EXECUTES = re.compile(
    r"pickle\.(?:loads?|Unpickler)\(|from pickle import|allow_pickle\s*=\s*True|weights_only=False"
    r"|torch\.load\((?![^\n]*weights_only=True)"
    r"|yaml\.(?:unsafe_|full_)?load\(|Loader=|YAML\((?!typ=\"safe\"\))|(?<![\w.])(?:eval|exec)\("
)
CLOCK = re.compile(
    r"\btime\.(?:time|time_ns|ctime|gmtime|localtime|strftime)\(|\bdatetime\b|from time import"
)


@pytest.mark.parametrize("text", [
    "pickle.load(file)", "pickle.Unpickler(file)", "from pickle import loads",
    "np.load(file, allow_pickle=True)", "np.load(file, allow_pickle = True)", "torch.load(file)",
    "torch.load(file, weights_only=False)", "yaml.load(text)", "yaml.unsafe_load(text)",
    "yaml.load(text, Loader=yaml.Loader)", "YAML().load(text)", 'YAML(typ="unsafe").load(text)',
    "eval(text)", "exec(text)",
])  # fmt: skip
def test_what_executes_is_found(text: str) -> None:
    assert EXECUTES.search(text)
    for safe in (
        "torch.load(file, weights_only=True), yaml.safe_load, model.eval()",
        'YAML(typ="safe").load(text)',
    ):
        assert not EXECUTES.search(safe)


def test_nothing_unpickles() -> None:
    """But a cluster's worker what its scheduler sends: Dask's protocol is pickle in any case."""
    cluster = ROOT / "wm/runtime/cluster.py"
    assert EXECUTES.search(cluster.read_text())
    assert {file.relative_to(ROOT).parts[0] for file in TOOLS} == set(FOLDERS)
    for file in {*CODE, *TOOLS} - {cluster}:
        assert not EXECUTES.search(file.read_text()), file


def test_nothing_reads_the_wall_clock() -> None:
    """Which may go backwards, and differs from run to run."""
    for text in ("time.time_ns()", "from time import time", "datetime.now()"):
        assert CLOCK.search(text)
    rounds = list((ROOT / "rounds").rglob("*.py"))
    assert len(CODE) > len(ROOMS)
    assert len(rounds) > 3
    for file in [*CODE, *rounds]:
        assert not CLOCK.search(file.read_text()), file
