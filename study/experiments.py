"""The study's runs as DVC experiments: run, found again and kept.

A cell is an experiment of its own name that runs TARGETS, and what they need, in a temporary copy
of the last commit. What cells share (the episodes of a seed, a vision model) runs once: DVC's run
cache has it for the others. A stage that was interrupted resumes, as its checkpoint lies in the
workspace, outside the copy.

DVC is started in a clone. Before it has its copy, `dvc exp run --temp` changes params.yaml where it
is, with HEAD detached and all other changes stashed: a kill then must not leave the workspace so.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import dvc.api
import numpy as np
import threadpoolctl
from dvc.api import DVCFileSystem
from dvc.repo import Repo
from dvc_data.index.index import DataIndexDirError
from ruamel.yaml.error import YAMLError

from bench import side_by_side
from study import runs, settings
from study.grid import Cell
from study.runs import RunRecord
from verify.workspace import environment
from wm.core.errors import UserError
from wm.runtime import perf
from wm.runtime.signals import uninterrupted

TARGETS = ("evaluate", "measure_rnn")
"""The stages at the ends of what a run needs."""
CODE = ("wm", "stages", "dvc.yaml", ":(exclude)wm/runtime")
"""What a result depends on, besides params.yaml, as git's pathspecs: wm/runtime changes none."""
RECORDS = ("params.yaml", "dvc.lock", "metrics", "plots")
"""What an experiment starts from."""
CLONES = Path(".dvc/tmp/study")
"""Where the clones lie that DVC runs the cells in. What a kill leaves of one is replaced by the
cell's next."""
NOT_IN_CACHE = (FileNotFoundError, DataIndexDirError)
"""What DVC raises for a file, and for a folder, whose content its cache does not have."""


class BusyError(UserError):
    """Another process runs the cell."""


def check_committed() -> None:
    """Raises UserError unless the pipeline and its records are committed: an experiment runs what
    is, and a result names the commit that it came from."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *RECORDS)
    # a module that git does not know would be missing in the clone
    if changed := changed or _git("status", "--porcelain", "--untracked-files=all", "--", *CODE):
        raise UserError(
            f"{changed.split()[-1]}: not committed; a result names its "
            "commit: commit it, or take it back (git checkout, or of a new file rm)"
        )


def is_current(commit: str) -> bool:
    """Returns whether the code at a commit is that of HEAD."""
    command = ["git", "diff", "--quiet", commit, "HEAD", "--", *CODE]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def revisions(name: str) -> list[str]:
    """Returns the experiments of this name that ended well, the newest first."""
    listed = _git("for-each-ref", "--sort=-creatordate", "--format=%(objectname) %(refname)",
                  "refs/exps")  # fmt: skip
    # refs/exps/<2 of the commit that it started from>/<the other 38>/<name>
    reference = re.compile(rf"(\S+) refs/exps/[0-9a-f]{{2}}/[0-9a-f]{{38}}/{re.escape(name)}")
    matches = map(reference.fullmatch, listed.splitlines())
    return [match[1] for match in matches if match]


def params_at(revision: str) -> dict[str, Any]:
    """Returns the content of params.yaml at a revision; UserError unless it is YAML with presets
    and one of their names."""
    named = f"params.yaml at {revision}"
    try:
        content = settings.read(_git("show", f"{revision}:params.yaml"))
    except YAMLError as error:
        raise UserError(f"{named}: not YAML ({_reason(str(error))}); mend and commit it") from None
    presets = content.get("presets") if isinstance(content, dict) else None
    if not isinstance(presets, dict) or content.get("scale") not in list(presets):
        raise UserError(f"{named}: `scale` names none of `presets`; mend and commit it")
    whole: dict[str, Any] = content
    return whole


def expected_params(cell: Cell) -> dict[str, Any]:
    """Returns the content of params.yaml with which a cell runs at HEAD."""
    document = params_at("HEAD")
    return settings.changed(document, cell.changes(document["scale"]))


def study_parameters(cell: Cell) -> str:
    """Returns what stands for the parameters of the study that a cell is part of at HEAD."""
    return settings.digest(settings.changed(params_at("HEAD"), cell.settings))


def finished(cell: Cell) -> str | None:
    """Returns the experiment that ran a cell, to the end and with the code and the parameters as
    they are at HEAD; None if there is none."""
    expected = expected_params(cell)
    for revision in revisions(cell.name):
        if is_current(revision) and params_at(revision) == expected and _fits_together(revision):
            return revision
    return None


def run(cell: Cell) -> str | None:
    """Runs a cell to its end and prints what DVC prints; returns why it failed, None if it did not.

    Does nothing where another process has run it meanwhile. Raises BusyError while one does.
    """
    changes = cell.changes(params_at("HEAD")["scale"])
    arguments = [part for change in changes for part in ("-S", change)]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", cell.name,
               *arguments, *TARGETS]  # fmt: skip
    lines = []
    clone = CLONES / cell.name
    with _clone(clone) as lock:
        if finished(cell) is not None:
            return None
        # dvc holds the lock too: if it outlives this process, its clone stays
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=clone,
            env=environment(), pass_fds=[lock.fileno()],
        ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    print(line, end="", flush=True)
                    lines.append(line)
            except KeyboardInterrupt:
                # Ctrl-C reached DVC and the stage as well, which saves its state: a second one is
                # theirs alone
                with uninterrupted():
                    process.communicate()
                    if process.returncode == 0:  # it had just ended
                        fetch(cell)
                raise
        fetch(cell, check=process.returncode == 0)
    return None if process.returncode == 0 else _reason("".join(lines))


def fetch(cell: Cell, check: bool = False) -> bool:
    """Fetches the cell's experiment from the clone, if there are such; a run that was killed just
    after its end left it there. Returns whether it was fetched. With `check` it raises UserError
    where there is a clone and that fails."""
    clone = CLONES / cell.name
    if not clone.exists():
        return False
    references = f"refs/exps/*/{cell.name}"
    try:
        _git("fetch", "--quiet", str(clone), f"+{references}:{references}")
    except UserError:
        if check:
            raise
        return False
    return True


@contextlib.contextmanager
def _clone(path: Path) -> Iterator[IO[str]]:
    """Makes a clone, with this repository's DVC cache and checkpoints, for the block; gives the
    lock that it holds meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f"{path.name}.lock"), "w") as lock, Repo() as repo:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{path}: another process runs this cell") from None
        try:
            shutil.rmtree(path, ignore_errors=True)
            identity = [part for key in ("user.name", "user.email")
                        if (value := _git("config", "--default", "", key))
                        for part in ("--config", f"{key}={value}")]  # fmt: skip
            _git("clone", "--quiet", "--shared", *identity, ".", str(path))
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(".dvc/config.local", path / ".dvc")
            with Repo(str(path)) as clone, clone.config.edit("local") as config:
                config["cache"]["dir"] = repo.cache.local_cache_dir
            checkpoints = Path("checkpoints")
            checkpoints.mkdir(exist_ok=True)
            (path / checkpoints).symlink_to(checkpoints.resolve())
            (path / ".git/info/exclude").write_text(f"/{checkpoints}\n")
            yield lock
        finally:
            shutil.rmtree(path, ignore_errors=True)


def keep(cell: Cell, revision: str, machine: dict[str, Any]) -> RunRecord:
    """Writes results/runs/<cell> from a finished experiment, which ran on `machine` (empty where
    that is not known); returns what it wrote."""
    commit = _git("rev-parse", f"{revision}^")
    parameters = params_at(revision)
    names = _names(parameters["vision"])
    hashes, costs = output_hashes(revision), _metrics(revision, "perf")

    def paid(name: str) -> dict[str, float]:
        """Returns what the stage cost, if it is known: DVC may have taken its outputs from its
        cache, which leaves the cost of another result in place."""
        cost = dict(costs.get(name, {}))
        result = dvc.api.read(perf.RESULTS[name], rev=revision, mode="rb")
        return cost if cost.pop("result", None) == perf.digest(result) else {}

    record = RunRecord(
        cell=cell.name, variant=cell.variant.name, seed=cell.seed, scale=parameters["scale"],
        changes=cell.changes(parameters["scale"]), commit=commit, machine=machine,
        parameters=study_parameters(cell),
        metrics={stage: _metrics(revision, names[stage]) for stage in runs.CHAIN},
        costs={stage: cost for stage, name in names.items() if (cost := paid(name))},
        hashes={path: md5 for name in names.values() for path, md5 in hashes[name].items()},
    )  # fmt: skip
    curves = {stage: dvc.api.read(f"plots/{names[stage]}.csv", rev=revision)
              for stage in runs.CURVES}  # fmt: skip
    files, models = DVCFileSystem(rev=revision), "models/controller"
    try:
        controller = {
            str(PurePosixPath(path).relative_to(f"/{models}")): files.read_bytes(path)
            for path in files.find(f"/{models}")
        }
    except NOT_IN_CACHE:
        raise UserError(
            f"{cell.name}: {models} of its experiment is not in DVC's cache; `dvc exp pull "
            f"<remote> {cell.name}`, or `dvc exp remove {cell.name}` to run it again"
        ) from None
    runs.save(record, curves, controller)
    return record


def keep_failure(cell: Cell, error: str) -> RunRecord:
    """Writes results/runs/<cell> for a cell that failed, so that no table leaves it out; returns
    what it wrote."""
    scale = params_at("HEAD")["scale"]
    record = RunRecord(
        cell=cell.name, variant=cell.variant.name, seed=cell.seed, scale=scale,
        changes=cell.changes(scale), commit=_git("rev-parse", "HEAD"), machine=machine(),
        error=error,
    )  # fmt: skip
    runs.save(record, {})
    return record


def output_hashes(revision: str) -> dict[str, dict[str, str]]:
    """Returns stage -> path -> hash of what dvc.lock says of a revision's outputs."""
    return _hashes(_locked(revision), "outs")


def _hashes(stages: dict[str, dict[str, Any]], side: str) -> dict[str, dict[str, str]]:
    """Returns stage -> path -> hash of one side, `deps` or `outs`, of the stages in dvc.lock."""
    return {
        name: {entry["path"]: entry["md5"] for entry in stage.get(side, [])}
        for name, stage in stages.items()
    }


def _locked(revision: str) -> dict[str, dict[str, Any]]:
    """Returns what dvc.lock says of a revision's stages, by their names."""
    try:
        lock = settings.read(_git("show", f"{revision}:dvc.lock"))
    except UserError:  # nothing had been run
        return {}
    stages: dict[str, dict[str, Any]] = lock["stages"]
    return stages


def _fits_together(revision: str) -> bool:
    """Returns whether all stages of a run read what the others wrote, and the parameters that are
    params.yaml's. An experiment of the same name that somebody ran with fewer targets still has the
    commit's metrics of the others."""
    document, stages = params_at(revision), _locked(revision)
    names = _names(document["vision"]).values()
    written, read = _hashes(stages, "outs"), _hashes(stages, "deps")
    if not {*names} <= {*written}:
        return False
    known = [stages[name].get("params", {}).get("params.yaml", {}) for name in names]
    if not all(settings.has(document, values) for values in known):
        return False
    outputs = {path: md5 for name in names for path, md5 in written[name].items()}
    return all(outputs.get(path, md5) == md5 for name in names for path, md5 in read[name].items())


def _names(vision: str) -> dict[str, str]:
    """Returns the names in dvc.yaml of runs.STAGES, for a run with this vision model."""
    return {stage: stage.replace("vision", vision) for stage in runs.STAGES}


def _metrics(revision: str, name: str) -> dict[str, Any]:
    """Not by dvc.api.exp_show: it goes through the whole history (100 s) and joins what all files
    say under one name, so that `mse` of train_vae and of encode could not be told apart."""
    return dvc.api.metrics_show(f"metrics/{name}.json", rev=revision)


def machine() -> dict[str, Any]:
    """Returns what describes this machine, and the BLAS that its NumPy uses."""
    assert np.__version__  # loaded, or there would be none to ask
    blas = [pool["architecture"] for pool in threadpoolctl.threadpool_info()
            if pool["user_api"] == "blas" and "architecture" in pool]  # fmt: skip
    facts = {key: value for key, value in side_by_side.machine().items() if key != "load_before"}
    return facts | {"blas": ", ".join(sorted(set(blas)))}


def _reason(output: str) -> str:
    """Returns the stage's own line, or else the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    stage = [line for line in lines if line.startswith("error: ")]
    return (stage or lines or ["it said nothing"])[-1]


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(command[-4:])}: {_reason(done.stderr or done.stdout)}")
    return done.stdout.strip()
