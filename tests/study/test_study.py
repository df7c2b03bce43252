import contextlib
import copy
import itertools
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from study import __main__ as command
from study import comparison, experiments, grid, returns, runs, settings, table, tracks
from study.comparison import BETTER, NOT_SHOWN, TOO_FEW, UNJUDGED, WORSE
from study.runs import RunRecord
from study.tracks import FIRST_UNSEEN
from tests.conftest import Command
from verify.workspace import ROOT
from wm.core.errors import UserError
from wm.core.params import SCALES
from wm.core.seeding import DEVELOPMENT_OFFSET, evaluation_seed


@pytest.fixture(autouse=True)
def in_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(
    variant: str, seed: int, returns: list[float], first_track: int = FIRST_UNSEEN,
    **changes: object,
) -> RunRecord:  # fmt: skip
    """A kept run whose evaluate drove tracks from `first_track` on."""
    values = {
        "cell": f"{variant}-{seed}", "variant": variant, "seed": seed, "scale": "smoke",
        "changes": [],
        "commit": "0" * 40, "machine": {"cores": 2},
        "metrics": {"evaluate": {"mean": float(np.mean(returns))}},
    } | changes  # fmt: skip
    kept = RunRecord(**values)
    rows = pd.DataFrame({"seed": first_track + np.arange(len(returns)), "return": returns})
    runs.save(kept, {"evaluate": rows.to_csv(index=False)})
    return kept


def test_every_cell_has_its_own_name_and_the_pair_comes_first_seed_by_seed() -> None:
    cells = grid.cells()
    assert len({cell.name for cell in cells}) == len(cells)
    pairs = [(cell.variant.name, cell.seed) for cell in cells[: 2 * len(grid.SEEDS)]]
    assert pairs == [(name, seed) for seed in grid.SEEDS for name in ("vae", "vaegan")]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("variant", grid.VARIANTS, ids=lambda variant: variant.name)
def test_a_cell_changes_keys_that_params_yaml_has(variant: grid.Variant, scale: str) -> None:
    if (variant.name, scale) == ("all-weights", "paper"):
        pytest.skip("the paper's search has all weights in its one phase: no such control there")
    document = yaml.safe_load((ROOT / "params.yaml").read_text())
    for change in grid.Cell(variant, 0).changes(scale):
        key, _, value = change.partition("=")
        *path, last = key.split(".")
        section = document
        for name in path:
            section = section[name]
        assert last in section, key
        assert type(yaml.safe_load(value)) is type(section[last]), change


def test_what_a_study_sets_is_set_in_every_cell() -> None:
    for cell, plain in zip(grid.cells(["precision=bf16"]), grid.cells(), strict=True):
        assert {*cell.changes("laptop")} - {*plain.changes("laptop")} == {"precision=bf16"}
        assert cell.name == plain.name


DOCUMENT = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("precison=bf16", "-S precison=bf16: not KEY=VALUE with a key that params.yaml has"),
        ("+train_vae.steps=5", r"-S \+train_vae.steps=5: not KEY=VALUE"),
        ("precision", "-S precision: not KEY=VALUE"),
        ("precision.x=1", "-S precision.x=1: not KEY=VALUE"),
        ("vision.va=1", "-S vision.va=1: not KEY=VALUE"),
        ("precision=[fp32", r"-S precision=\[fp32: no value that params.yaml can have"),
        ("precision=2026-99-99", "no value that params.yaml can have"),
        ("precision=2026-01-01", "no value that params.yaml can have"),
        ("scale=paper", "-S scale=paper: set and commit it in params.yaml"),
        ("seed=3", "-S seed=3: every cell sets seed itself"),
        ("vision=vaegan", "-S vision=vaegan: every cell sets vision itself"),
        ("presets.laptop.train_controller.phases={}", "all-weights-0 sets .*weights itself"),
        (
            "presets.laptop.train_rnn.steps=0",
            r"untrained-memory-0 sets presets\.laptop\.train_rnn\.steps itself",
        ),
    ],
)
def test_a_setting_that_a_study_cannot_have_is_one_line(setting: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        settings.check([setting], grid.cells([setting]), DOCUMENT)
    common = ["precision=bf16", "presets.laptop.evaluate.episodes=1024"]
    settings.check(common, grid.cells(common), DOCUMENT)


def test_a_setting_is_refused_where_a_cell_that_is_asked_for_sets_it_itself() -> None:
    steps = ["presets.laptop.train_vaegan.steps=7"]
    pair = [cell for cell in grid.cells(steps) if cell.variant in (grid.VAE, grid.VAEGAN)]
    settings.check(steps, pair, DOCUMENT | {"scale": "laptop"})
    with pytest.raises(UserError, match=r"-S .*steps=7: balanced-0 sets .*steps itself"):
        settings.check(steps, grid.cells(steps), DOCUMENT | {"scale": "laptop"})


def test_cells_of_one_study_start_from_the_same_parameters_and_of_another_do_not() -> None:
    laptop = DOCUMENT | {"scale": "laptop"}
    mine = settings.digest(laptop)
    same = ("workers=7", "film.temperature=0.5", "presets.smoke.train_vae.steps=3", "seed=3",
            "vision=vaegan")  # fmt: skip
    assert settings.digest(settings.changed(laptop, same)) == mine
    for other in ("precision=bf16", "presets.laptop.evaluate.episodes=7", "encode.batch_size=3",
                  "presets.laptop.train_vaegan.steps=7"):  # fmt: skip
        assert settings.digest(settings.changed(laptop, [other])) != mine


def test_a_third_vision_model_joins_the_study_of_the_pair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    more = copy.deepcopy(DOCUMENT)
    more["train_tiny"] = {"latent_size": 6}
    more["presets"]["laptop"]["train_tiny"] = {"steps": 9}
    assert settings.digest(more) != settings.digest(DOCUMENT)
    monkeypatch.setattr(settings, "VISION_MODELS", ("tiny", "vae", "vaegan"))
    assert settings.digest(more) == settings.digest(DOCUMENT)


def test_the_studys_command_in_the_readme_goes_on_beside_the_runs_that_are_kept() -> None:
    setting = "presets.laptop.evaluate.episodes=1024"
    assert f'make study ARGUMENTS="-S {setting}"' in (ROOT / "README.md").read_text()
    kept = sorted((ROOT / "results/runs").glob("*/run.json"))
    if not kept:
        pytest.skip("no run is kept: they have made way for a study of one's own")
    mine = settings.digest(settings.changed(DOCUMENT, [setting]))
    for path in kept:
        assert json.loads(path.read_text())["parameters"] == mine, path


def test_runs_with_different_parameters_are_not_compared() -> None:
    run("vae", 0, [900.0, 910.0], parameters="a")
    run("vaegan", 0, [900.0, 910.0], parameters="b")
    with pytest.raises(UserError, match="parameters a: vae-0; parameters b: vaegan-0"):
        table.write()


def test_a_folder_that_is_being_written_is_no_run() -> None:
    kept = run("vae", 0, [900.0, 910.0])
    shutil.copytree(kept.directory, kept.directory.with_name(".vae-0.7.tmp"))
    assert runs.load_all() == [kept]


def test_a_run_comes_back_as_it_was_kept_and_a_damaged_one_is_named() -> None:
    kept = run("vae", 3, [900.0, 910.0])
    assert runs.load("vae-3") == kept
    assert runs.load("vae-4") is None
    assert kept.curve("evaluate")["return"].tolist() == [900.0, 910.0]
    (kept.directory / "run.json").write_text(json.dumps({"cell": "vae-3"}))
    with pytest.raises(UserError, match=r"results/runs/vae-3/run\.json"):
        runs.load("vae-3")


def commit(folder: Path, shell: Command, **files: str) -> str:
    """Commits files, `__` in their names for a slash and `_` for a dot; returns the commit."""
    if not (folder / ".git").exists():
        shell(folder, "git", "init", "-q")
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shell(folder, "git", "add", "-A")
    shell(folder, "git", "commit", "-qm", "files")
    return shell(folder, "git", "rev-parse", "HEAD").stdout.strip()


def test_code_that_changes_no_result_leaves_a_run_current(tmp_path: Path, shell: Command) -> None:
    first = commit(tmp_path, shell, wm__core__frames_py="1")
    commit(tmp_path, shell, wm__runtime__perf_py="1", tests__frames_py="1")
    assert experiments.is_current(first)
    commit(tmp_path, shell, wm__core__frames_py="2")
    assert not experiments.is_current(first)
    assert not experiments.is_current("0" * 40)


def test_an_experiment_is_a_cells_if_all_its_stages_were_run(
    tmp_path: Path, shell: Command
) -> None:
    """Somebody ran `evaluate` alone under the cell's name: the metrics of measure_rnn are those of
    the commit that it started from. Or the stages before: the search had other parameters."""

    def files(seed: int, measured: int, searched: int = 3) -> dict[str, str]:
        stages: dict[str, dict[str, Any]] = {
            stage.replace("vision", "vae"): {"outs": [{"path": stage, "md5": str(seed)}]}
            for stage in runs.STAGES
        }
        stages["measure_rnn"]["deps"] = [{"path": "train_rnn", "md5": str(measured)}]
        stages["train_controller"]["params"] = {"params.yaml": {"presets.smoke.cost": searched}}
        presets = {"smoke": {"cost": 3}}
        params = {"vision": "vae", "scale": "smoke", "seed": seed, "presets": presets}
        return {"params_yaml": yaml.safe_dump(params),
                "dvc_lock": yaml.safe_dump({"stages": stages})}  # fmt: skip

    start = commit(tmp_path, shell, **files(seed=0, measured=0))
    for measured, searched, found in ((0, 3, False), (1, 2, False), (1, 3, True)):
        experiment = commit(tmp_path, shell, **files(1, measured, searched))
        shell(tmp_path, "git", "update-ref", f"refs/exps/{start[:2]}/{start[2:]}/vae-1", experiment)
        shell(tmp_path, "git", "checkout", "-q", start)
        assert experiments.finished(grid.Cell(grid.VAE, 1)) == (experiment if found else None)
    assert experiments.finished(grid.Cell(grid.VAE, 2)) is None


@pytest.mark.parametrize(("content", "complaint"), [
    ("vision: [", "not YAML"), ("", "`scale` names none of `presets`"), ("seed: 1", "`scale`"),
    ("scale: huge\npresets: {smoke: {}}", "`scale`"),
    ("scale: [1]\npresets: {smoke: {}}", "`scale`"),
])  # fmt: skip
def test_a_committed_params_yaml_that_is_none_is_one_line(
    tmp_path: Path, shell: Command, content: str, complaint: str
) -> None:
    commit(tmp_path, shell, params_yaml=content)
    with pytest.raises(UserError, match=f"^params.yaml at HEAD: .*{complaint}"):
        experiments.params_at("HEAD")


def test_a_cost_is_taken_from_the_run_that_paid_it() -> None:
    """DVC ran `collect` once for both, and the vision model once for each."""
    paid = {"collect": {"seconds": 9.0}, "train_vision": {"seconds": 126.0}}
    first = run("vae", 0, [900.0, 901.0], costs=paid,
                hashes={"data/episodes": "a", "models/vae": "b"})  # fmt: skip
    second = run("vaegan", 0, [900.0, 901.0], costs={"train_vision": {"seconds": 297.0}},
                 hashes={"data/episodes": "a", "models/vaegan": "c"})  # fmt: skip
    third = run("vae", 1, [900.0, 901.0], hashes={"data/episodes": "other"})
    filled = table.with_shared_costs([second, third, first])
    assert filled[0].costs == {"collect": {"seconds": 9.0}, "train_vision": {"seconds": 297.0}}
    assert filled[1].costs == {}
    assert filled[2].costs == paid


def test_over_tracks_pairs_by_track_not_by_place() -> None:
    ours = run("vaegan", 0, [910.0, 905.0, 870.0])
    theirs = run("vae", 0, [900.0, 905.0, 880.0])
    shuffled = theirs.curve("evaluate").iloc[::-1]
    shuffled.to_csv(theirs.directory / "evaluate.csv", index=False)
    found = comparison.over_tracks(ours, theirs)
    assert (found["ahead"], found["behind"], found["tracks"]) == (1, 1, 3)
    assert found["difference"] == pytest.approx(0.0)


def test_tracks_are_named_by_their_seeds() -> None:
    assert tracks.name([evaluation_seed(3072), evaluation_seed(9999)]) == tracks.EVALUATION
    assert tracks.name([DEVELOPMENT_OFFSET, evaluation_seed(3071)]) == tracks.DEVELOPMENT
    assert tracks.name([7]) == tracks.TRAINING
    assert tracks.name([evaluation_seed(3072), DEVELOPMENT_OFFSET]) == "development and evaluation"


def test_a_run_says_which_tracks_it_drove() -> None:
    assert run("vae", 0, [900.0, 910.0]).row()["tracks"] == tracks.EVALUATION
    older = run("vae", 1, [900.0, 910.0], first_track=DEVELOPMENT_OFFSET)
    assert older.row()["tracks"] == tracks.DEVELOPMENT
    (older.directory / "evaluate.csv").unlink()
    assert older.row()["tracks"] is None


def test_runs_on_different_tracks_are_not_compared() -> None:
    run("vae", 0, [900.0, 910.0], first_track=DEVELOPMENT_OFFSET)
    run("z", 1, [700.0, 800.0])  # not even where they have no seed in common
    with pytest.raises(UserError, match="development tracks: vae-0; evaluation tracks: z-1"):
        table.write()
    assert len(pd.read_csv(table.CSV)) == 2  # each with its tracks


def test_runs_of_one_pair_on_other_tracks_of_one_name_are_not_compared() -> None:
    ours = run("vaegan", 0, [900.0, 910.0])
    theirs = run("vae", 0, [900.0, 910.0, 920.0])
    with pytest.raises(UserError, match="vaegan-0, vae-0: not the same tracks"):
        comparison.over_tracks(ours, theirs)


def test_nothing_is_run_beside_what_does_not_compare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hours of driving would end in tables that refuse them."""
    mine = settings.digest(DOCUMENT)
    monkeypatch.setattr(experiments, "check_committed", lambda: None)
    monkeypatch.setattr(experiments, "params_at", lambda revision: DOCUMENT)
    monkeypatch.setattr(experiments, "is_current", lambda commit: True)
    cells = [grid.Cell(grid.VAE, 0), grid.Cell(grid.VAE, 1)]
    run("vae", 0, [900.0, 910.0], parameters="others")
    for wanted in (cells, cells[:1]):  # which is kept, but not what is asked for
        with pytest.raises(UserError, match=r"holds runs with other parameters \(vae-0\)"):
            command._run(wanted)
    # which name the tracks, too, whatever these are
    run("vae", 0, [900.0, 910.0], first_track=DEVELOPMENT_OFFSET, parameters=mine)
    monkeypatch.setattr(experiments, "fetch", lambda cell: False)
    monkeypatch.setattr(command, "_kept", lambda cell, **_: True)
    command._run(cells)


@pytest.mark.parametrize("in_the_clone", [True, False])
def test_a_run_that_was_pulled_does_not_get_this_machine(
    monkeypatch: pytest.MonkeyPatch, in_the_clone: bool
) -> None:
    machines = []

    def keep(cell: grid.Cell, revision: str, machine: dict[str, object]) -> RunRecord:
        machines.append(machine)
        return run("vae", 0, [900.0, 910.0])

    monkeypatch.setattr(experiments, "check_committed", lambda: None)
    monkeypatch.setattr(experiments, "params_at", lambda revision: DOCUMENT)
    monkeypatch.setattr(experiments, "fetch", lambda cell: in_the_clone)
    monkeypatch.setattr(experiments, "finished", lambda cell: "revision")
    monkeypatch.setattr(experiments, "keep", keep)
    command._run([grid.Cell(grid.VAE, 0)])
    assert machines == [experiments.machine() if in_the_clone else {}]


def test_a_cell_that_another_process_runs_or_has_run_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two `make study` at once share the cells."""
    cells = [grid.Cell(grid.VAE, seed) for seed in range(3)]
    ran = []

    def other_process_is_at_1_and_keeps_2(cell: grid.Cell) -> str | None:
        if cell.seed == 1:
            raise experiments.BusyError("busy")
        ran.append(cell.seed)
        run("vae", 2, [900.0])
        return None

    monkeypatch.setattr(experiments, "check_committed", lambda: None)
    monkeypatch.setattr(experiments, "params_at", lambda revision: DOCUMENT)
    monkeypatch.setattr(experiments, "fetch", lambda cell: False)
    monkeypatch.setattr(experiments, "run", other_process_is_at_1_and_keeps_2)
    monkeypatch.setattr(command, "_kept", lambda cell, **_: cell.seed in ran)
    command._run(cells)
    assert ran == [0]


def test_an_experiment_that_ends_as_ctrl_c_comes_is_fetched_and_a_second_one_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC ignores Ctrl-C while a stage runs, and may end well after it; the clone holds the only
    reference to what it made."""
    clone, fetched = tmp_path / "clone", []

    class Ends:
        """A DVC that is interrupted as it prints, and again while it ends."""

        returncode, stdout = 0, property(lambda self: self.lines())

        def __init__(self, *_: Any, **__: Any) -> None: ...
        def __enter__(self) -> "Ends":
            return self

        def __exit__(self, *_: object) -> None: ...
        def lines(self) -> Any:
            yield "Running stage 'evaluate'\n"
            raise KeyboardInterrupt

        def communicate(self) -> None:
            signal.raise_signal(signal.SIGINT)
            assert clone.exists()

    @contextlib.contextmanager
    def cloned(path: Path) -> Any:
        clone.mkdir()
        with (tmp_path / "lock").open("w") as lock:
            yield lock
        clone.rmdir()

    monkeypatch.setattr(experiments, "params_at", lambda revision: DOCUMENT)
    monkeypatch.setattr(experiments, "finished", lambda cell: None)
    monkeypatch.setattr(experiments, "_clone", cloned)
    monkeypatch.setattr(experiments, "fetch", lambda cell: fetched.append(clone.exists()))
    monkeypatch.setattr(experiments.subprocess, "Popen", Ends)
    with pytest.raises(KeyboardInterrupt):
        experiments.run(grid.Cell(grid.VAE, 0))
    assert fetched == [True]


def test_the_gain_is_that_on_the_linear_filter_where_it_is_measured() -> None:
    memory = {"nll": 0.3, "nll_linear": 0.5, "nll_last_mean": 0.6}
    row = run("vae", 0, [1.0, 2.0], metrics={"train_rnn": memory}).row()
    assert row["train_rnn.nll_gain"] == pytest.approx(0.2)
    before = {"nll": 0.3, "nll_last_value": 0.7}
    row = run("vae", 1, [1.0, 2.0], metrics={"train_rnn": before}).row()
    assert "train_rnn.nll_gain" not in row


def test_iqm_and_probability_against_their_definitions() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=8)
    assert returns.iqm(values) == pytest.approx(np.sort(values)[2:6].mean())
    ours, theirs = rng.integers(0, 4, 5).astype(float), rng.integers(0, 4, 7).astype(float)
    wins = [1.0 if x > y else 0.5 if x == y else 0.0 for x in ours for y in theirs]
    assert comparison.probability_ahead(ours, theirs) == pytest.approx(np.mean(wins))
    both = comparison.probability_ahead(np.stack([ours, -ours]), np.stack([theirs, -theirs]))
    assert both == pytest.approx([np.mean(wins), 1 - np.mean(wins)])


def test_a_runs_row_tells_its_failures_and_its_first_hundred_tracks() -> None:
    drives = [*np.linspace(880.0, 920.0, 100), 599.9, 600.0, 930.0, 940.0]
    row = run("vae", 0, drives).row()
    assert row["evaluate.failed_percent"] == pytest.approx(100 / 104)
    assert row["evaluate.first_mean"] == pytest.approx(900.0)
    assert row["evaluate.first_std"] == pytest.approx(np.std(drives[:100], ddof=1))
    assert row["evaluate.iqm"] == pytest.approx(np.sort(drives)[26:78].mean())


def test_the_bootstrap_interval_against_every_resample() -> None:
    """Of three values there are 27 resamples: the interval's ends are quantiles of their means."""
    values = np.array([1.0, 2.0, 4.0])
    means = [np.mean(resample) for resample in itertools.product(values, repeat=3)]
    low, high = comparison.interval([values], np.mean)
    assert low == pytest.approx(np.quantile(means, 0.025, method="inverted_cdf"), abs=0.35)
    assert high == pytest.approx(np.quantile(means, 0.975, method="inverted_cdf"), abs=0.35)
    assert comparison.interval([values], np.mean) == (low, high)  # a fixed generator


def test_the_verdict_takes_both_intervals_on_one_side_of_zero() -> None:
    assert comparison.verdict(5, 0.1, 2.0, "higher") == BETTER
    assert comparison.verdict(5, 0.1, 2.0, "lower") == WORSE
    assert comparison.verdict(5, -2.0, -0.1, "lower") == BETTER
    assert comparison.verdict(5, -0.1, 2.0, "higher") == NOT_SHOWN
    assert comparison.verdict(4, 0.1, 2.0, "higher") == TOO_FEW


def test_over_seeds_is_paired_and_t_keeps_a_narrow_bootstrap_honest() -> None:
    theirs = np.array([880.0, 900.0, 905.0, 890.0, 910.0])
    ours = theirs + np.array([3.0, 4.0, 5.0, 4.0, 3.5])
    clear = comparison.over_seeds(ours, theirs, "higher")
    assert clear["verdict"] == BETTER  # though both vary far more from seed to seed
    assert clear["probability_ahead"][0] < 0.7
    expected = stats.ttest_rel(ours, theirs).confidence_interval()
    assert clear["t"] == pytest.approx(list(expected))
    # one seed alone makes the mean positive: the bootstrap is sure, t is not
    ours = theirs + np.array([0.1, 0.1, 0.1, 0.1, 9.0])
    doubtful = comparison.over_seeds(ours, theirs, "higher")
    assert doubtful["bootstrap"][0] > 0 > doubtful["t"][0]
    assert doubtful["verdict"] == NOT_SHOWN
    same = comparison.over_seeds(theirs, theirs, "higher")
    assert same["difference"] == 0
    assert same["verdict"] == NOT_SHOWN


def test_under_no_difference_the_rule_errs_no_more_often_than_it_says() -> None:
    """5 % of the time at most, where a percentile bootstrap of five seeds alone errs twice as
    often."""
    rng = np.random.default_rng(1)
    alone = both = 0
    for _ in range(200):
        theirs = rng.normal(900, 10, 5)
        found = comparison.over_seeds(theirs + rng.normal(0, 5, 5), theirs, "higher")
        low, high = found["bootstrap"]
        alone += not low <= 0 <= high
        both += found["verdict"] != NOT_SHOWN
    assert both <= 0.05 * 200 + 3 * np.sqrt(200 * 0.05 * 0.95)
    assert alone > 0.1 * 200


@pytest.mark.parametrize(("most", "verdict"), [(0.99, BETTER), (1.01, UNJUDGED)])
def test_sharpness_is_judged_up_to_the_original_s(most: float, verdict: str) -> None:
    """Beyond 1 it is texture that the original does not have."""
    for seed in range(5):
        for variant, value in (("vae", 0.4), ("vaegan", most)):
            sharpness = value - 0.01 * seed
            metrics = {"evaluate": {"mean": 900.0}, "encode": {"sharpness": sharpness}}
            run(variant, seed, [900.0, 910.0], metrics=metrics)
    table.write()
    (pair,) = json.loads(table.COMPARISON.read_text())["pairs"]
    assert pair["measures"]["encode.sharpness"]["verdict"] == verdict


def test_the_tables_hold_every_run_and_compare_what_both_variants_have() -> None:
    for seed in range(5):
        run("vae", seed, [900.0 + seed, 910.0])
        run("vaegan", seed, [905.0 + seed, 912.0 + seed])
    run("z", 0, [700.0, 800.0])
    failed = RunRecord(cell="z-1", variant="z", seed=1, scale="smoke", changes=[], commit="0",
                       machine={}, error="no")  # fmt: skip
    runs.save(failed, {})
    table.write()
    rows = pd.read_csv(table.CSV)
    assert len(rows) == 12
    assert rows.set_index("cell").loc["z-1", "error"] == "no"
    pair, control = json.loads(table.COMPARISON.read_text())["pairs"]
    assert (pair["ours"], pair["theirs"], pair["seeds"]) == ("vaegan", "vae", [0, 1, 2, 3, 4])
    found = pair["measures"]["evaluate.mean"]
    assert found["difference"] == pytest.approx(4.5)
    assert found["verdict"] == BETTER
    assert [track["seed"] for track in pair["tracks"]] == [0, 1, 2, 3, 4]
    # one seed has tracks to compare, and no spread over seeds
    assert (control["ours"], control["theirs"], control["measures"]) == ("z", "vae", {})
    (tracks,) = control["tracks"]
    assert (tracks["seed"], tracks["difference"]) == (0, pytest.approx(-155.0))
