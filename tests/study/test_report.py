import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from study import figures, grid, markdown, report, runs, table
from study.comparison import TOO_FEW, UNJUDGED
from study.figures import Panel
from study.formatting import MINUS, signed, span
from study.runs import RunRecord
from study.tracks import FIRST_UNSEEN
from wm.core import artifacts
from wm.core.errors import UserError
from wm.core.seeding import DEVELOPMENT_OFFSET

COSTS = {"seconds": 30.0, "frames_per_second": 99.0, "peak_memory_mb": 600.0}
PICTURES = {f"{n}.png" for n in ("returns", "curves", "drives", "reconstructions", "dreams")}


def curve(generator: np.random.Generator, *columns: str) -> str:
    lines = [",".join(map(str, [x, *generator.random(len(columns) - 1)])) for x in (1, 2, 3)]
    return "\n".join([",".join(columns), *lines]) + "\n"


def save_run(
    variant: str, seed: int, episodes: int = 12, baseline: str = "nll_linear",
    first_track: int = FIRST_UNSEEN,
) -> None:  # fmt: skip
    generator = np.random.default_rng([seed, len(variant)])
    returns = 900 + 30 * generator.random(episodes)
    drives = "episode,seed,return,lap_finished\n" + "".join(
        f"{i},{first_track + i},{value},{i % 2 == 0}\n" for i, value in enumerate(returns)
    )
    metrics = {
        "encode": {"ssim": 0.9 + 0.01 * generator.random(), "road_iou": 0.94},
        "train_rnn": {baseline: 0.75, "nll": 0.3 + 0.1 * generator.random()},
        "evaluate": {"mean": returns.mean(), "std": returns.std(), "median": 9.0,
                     "min": returns.min(), "laps_finished": 7.0, "episodes": episodes,
                     "ci95_low": 890.0, "ci95_high": 930.0},
    }  # fmt: skip
    run = RunRecord(cell=f"{variant}-{seed}", variant=variant, seed=seed,
                    scale="laptop", changes=[], commit="0123456789",
                    machine={"processor": "a processor", "cores": 2},
                    metrics=metrics, costs={"train_vision": COSTS})  # fmt: skip
    held_out = ("held_out_ssim", "held_out_mse", "held_out_sharpness")
    curves = {
        "evaluate": drives,
        "train_vision": curve(generator, "step", *held_out),
        "train_rnn": curve(generator, "step", "held_out_nll"),
        "train_controller": curve(generator, "generation", "mean", "validation"),
    }
    runs.save(run, curves)


def save_exhibits() -> None:
    generator = np.random.default_rng(0)

    def frames(*shape: int) -> np.ndarray:
        return generator.integers(0, 255, (*shape, 64, 64, 3), np.uint8)

    circle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    track = 100 * np.stack([np.cos(circle), np.sin(circle)], axis=1).astype(np.float32)
    path = np.concatenate([track[:20] * 1.1, np.full((20, 1), 10.0, np.float32)], axis=1)
    path[:10, 2] = 0.0
    tensors = {"frames": frames(3), "dream_real": frames(2), "path_0": path, "track_0": track}
    for variant in ("vae", "vaegan"):
        tensors |= {f"reconstruction_{variant}": frames(3), f"dream_{variant}": frames(2),
                    f"traversal_{variant}": frames(1, 3)}  # fmt: skip
    facts = {
        "seed": 0, "cells": ["vae-0", "vaegan-0"], "hashes": {"vae-0": {}, "vaegan-0": {}},
        "ranks": [0, 50, 100],
        "mse": {variant: [0.001, 0.002, 0.003] for variant in ("vae", "vaegan")},
        "traversal": {variant: {"dimensions": [17], "kl": [2.5]} for variant in ("vae", "vaegan")},
        "traversal_values": [-3, 0, 3], "dream_steps": [1, 50],
        "drives": [{"variant": "vae", "rank": "worst", "episode": 3, "seed": DEVELOPMENT_OFFSET + 3,
                    "return": 812.3,
                    "lap_finished": False, "steps": 19}],
    }  # fmt: skip
    artifacts.save_tensors("results/exhibits.safetensors", tensors)
    artifacts.write_json("results/exhibits.json", facts | {"tensors": artifacts.digest(tensors)})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results of two seeds of both, a failure, and a report of them."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for seed in (0, 1):
            save_run("vae", seed)
            save_run("vaegan", seed)
        save_run("other", 0, episodes=20)
        failure = RunRecord(cell="z-0", variant="z", seed=0, scale="laptop", changes=[], machine={},
                            commit="89abcdef", error="train_rnn: <out> of memory")  # fmt: skip
        runs.save(failure, {})
        save_exhibits()
        first, second = FIRST_UNSEEN, FIRST_UNSEEN + 1
        Path("results/random_policy.csv").write_text(
            f"episode,seed,return\n0,{first},-30.0\n1,{second},-34.0\n"
        )
        table.write()
        report.write()
    return folder


@pytest.fixture
def copy(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One's own copy of it, to work in."""
    shutil.copytree(written / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def page(results: Path) -> str:
    return (results / "report.html").read_text(encoding="utf-8")


def test_the_page_loads_nothing(written: Path) -> None:
    # a link is followed by hand
    content = re.sub(r'<a href="https://[^"]*">', "", page(written / "results"))
    loaded = re.findall(r"""(?:src|href|srcset)\s*=\s*["']([^"']*)|url\(([^)]*)\)""", content)
    assert loaded
    assert all(one.startswith(("data:", "#")) for pair in loaded for one in pair if one)
    assert "<script" not in content
    assert "@import" not in content
    assert len(content) < 4_000_000


def test_the_numbers_are_those_of_the_comparison(written: Path) -> None:
    content = page(written / "results")
    [pair] = json.loads((written / "results/comparison.json").read_text())["pairs"]
    found = pair["measures"]["evaluate.mean"]
    for value in (found["ours"]["mean"], found["theirs"]["mean"]):
        assert report.number(value, 1) in content
    for value in (found["difference"], *found["bootstrap"], *found["t"]):
        assert report.signed(value, 1) in content
    assert found["verdict"] == TOO_FEW
    assert f'<span class="chip too-few-seeds">{TOO_FEW}</span>' in content


def test_another_verdict_and_another_number_change_the_page(copy: Path) -> None:
    comparison = json.loads((copy / "comparison.json").read_text())
    [pair] = comparison["pairs"]
    pair["measures"]["evaluate.mean"] |= {"verdict": "better", "difference": 123.4}
    comparison["rule"] = "another rule"
    artifacts.write_json("results/comparison.json", comparison)
    report.write()
    content = page(copy)
    assert (
        '<span class="chip better" style="--c:var(--c-vaegan, var(--c-other))">better</span>'
        in content
    )
    assert "123.4 points higher" in content
    assert "another rule" in content


def test_what_failed_and_what_was_not_run_is_listed(written: Path) -> None:
    content = page(written / "results")
    assert "train_rnn: &lt;out&gt; of memory" in content
    done = {"vae-0", "vae-1", "vaegan-0", "vaegan-1", "z-0"}
    listed = set(re.findall(r'<span class="cellname">([^<]*)<', content))
    assert listed == {cell.name for cell in grid.cells()} - done


def test_every_run_is_in_the_table(written: Path) -> None:
    rows = page(written / "results").split('<table class="all">')[1]
    for cell in ("vae-0", "vae-1", "vaegan-0", "vaegan-1", "other-0", "z-0"):
        assert f"</i>{cell}</th>" in rows
    assert re.search("Outside the study.s grid: other-0\\.", page(written / "results"))


def test_an_untrained_memory_has_no_learning_curve(copy: Path) -> None:
    for cell in ("vae-0", "vae-1", "vaegan-0", "vaegan-1"):
        (runs.RUNS / cell / "train_rnn.csv").write_text("\n")
    report.write()
    assert "Memory, NLL" not in page(copy)
    assert "Vision model, SSIM" in page(copy)


def test_random_drives_that_are_damaged_are_named(copy: Path) -> None:
    Path("results/random_policy.csv").write_text("")
    with pytest.raises(UserError, match=r"results/random_policy\.csv: .*take it from git again"):
        report.write()


def test_a_control_of_one_seed_is_compared_over_its_tracks(copy: Path) -> None:
    save_run("untrained-memory", 0)
    table.write()
    report.write()
    pairs = json.loads((copy / "comparison.json").read_text())["pairs"]
    (tracks,) = next(pair for pair in pairs if pair["ours"] == "untrained-memory")["tracks"]
    ends = " to ".join(report.signed(end, 1) for end in tracks["bootstrap"])
    difference = report.signed(tracks["difference"], 1)
    assert f"over tracks): seed 0: {difference} ({ends})." in page(copy)


def claim_on_memory(results: Path) -> str:
    """The text of the claim, without markup and its table."""
    claims = re.findall(r'<article class="claim">.*?</header>', page(results), re.DOTALL)
    [found] = [claim for claim in claims if "the memory (MDN-RNN)" in claim]
    return " ".join(re.sub(r"<[^>]*>", " ", found).split())


def test_the_memory_is_judged_by_its_gain_on_the_linear_filter(written: Path) -> None:
    text = claim_on_memory(written / "results")
    assert "Measured: too few seeds on 1." in text
    assert "Not judged" not in text
    [pair] = json.loads((written / "results/comparison.json").read_text())["pairs"]
    assert pair["measures"]["train_rnn.nll_gain"]["verdict"] == TOO_FEW
    assert pair["measures"]["train_rnn.nll"]["verdict"] == UNJUDGED
    assert pair["measures"]["train_rnn.nll_linear"]["verdict"] == UNJUDGED


@pytest.mark.parametrize(
    "measured_before", [("vae-0",), ("vae-0", "vae-1", "vaegan-0", "vaegan-1")]
)
def test_a_memory_measured_by_the_last_sample_is_not_judged(
    copy: Path, measured_before: tuple[str, ...]
) -> None:
    for cell in measured_before:
        variant, _, seed = cell.rpartition("-")
        save_run(variant, int(seed), baseline="nll_last_value")
    table.write()
    report.write()
    [pair] = json.loads((copy / "comparison.json").read_text())["pairs"]
    assert "train_rnn.nll_gain" in pair["lacking"]
    assert not {"train_rnn.nll_gain", "train_rnn.nll_linear"} & {*pair["measures"]}
    text = claim_on_memory(copy)
    assert "Not judged , as not all runs have it: its gain on a linear filter (nats). Runs" in text
    assert text.count(UNJUDGED) == 2  # in place of the score, and of the NLL beside it


def test_a_claim_that_nothing_measures_is_not_judged(written: Path) -> None:
    """No run of these has a frame's error, a probe or a memory's seconds."""
    content = page(written / "results")
    assert content.count('<article class="claim">') == 4
    assert "PSNR (dB)" in content.split("<strong>Not judged</strong>")[1]


def test_the_page_says_which_tracks_were_driven(written: Path, copy: Path) -> None:
    assert "· 12 evaluation tracks a run" in page(copy)
    assert "<td>evaluation</td>" in page(copy)
    assert "Development track 1073741827" in page(copy)  # that of the exhibit
    assert "may be optimistic" not in page(copy)
    for name, seed in (("vae", 0), ("vae", 1), ("vaegan", 0), ("vaegan", 1)):
        save_run(name, seed, first_track=DEVELOPMENT_OFFSET)
    with pytest.raises(UserError, match=r"evaluation tracks: other-0"):
        table.write()
    shutil.rmtree(copy / "runs/other-0")
    table.write()
    report.write()
    assert "· 12 development tracks a run" in page(copy)
    assert "returns on them may be optimistic" in page(copy)
    assert "<td>development</td>" in page(copy)
    assert "<td>evaluation</td>" not in page(copy)


def test_the_random_policy_is_summed_up(written: Path) -> None:
    assert "<b>−32.0</b> ± 2.8 over 2 evaluation tracks" in page(written / "results")  # noqa: RUF001


def test_without_exhibits_the_page_says_what_makes_them(copy: Path) -> None:
    shutil.rmtree(copy / "figures")
    (copy / "exhibits.json").unlink()
    report.write()
    assert "<code>python -m study exhibits</code>" in page(copy)
    assert {path.name for path in (copy / "figures").iterdir()} == {"returns.png", "curves.png"}


def test_exhibits_of_other_models_are_left_out(copy: Path) -> None:
    facts = artifacts.read_json(copy / "exhibits.json")
    facts["hashes"]["vae-0"] = {"models/vae": "0" * 32}
    artifacts.write_json(copy / "exhibits.json", facts)
    report.write()
    assert "<code>python -m study exhibits</code>" in page(copy)


def test_exhibits_of_two_commands_are_left_out(copy: Path, capsys: pytest.CaptureFixture) -> None:
    """A kill between the two files leaves one of each."""
    tensors = artifacts.load_tensors(copy / "exhibits.safetensors")
    frames = tensors["frames"].copy()
    frames[0, 0, 0, 0] ^= 1
    artifacts.save_tensors(copy / "exhibits.safetensors", tensors | {"frames": frames})
    report.write()
    assert "python -m study exhibits makes them" in capsys.readouterr().err
    assert "<code>python -m study exhibits</code>" in page(copy)


@pytest.mark.parametrize("content", ["{}", "[]", '{"hashes": 3}'])
def test_damaged_exhibits_are_one_line(copy: Path, content: str) -> None:
    (copy / "exhibits.json").write_text(content)
    with pytest.raises(UserError, match=r"exhibits\.json: damaged; run python -m study exhibits"):
        report.write()


def test_without_the_pair_or_its_curves_there_is_a_page(copy: Path) -> None:
    comparison = artifacts.read_json(copy / "comparison.json")
    artifacts.write_json(copy / "comparison.json", comparison | {"pairs": []})
    (copy / "exhibits.json").unlink()
    for name in ("vae-0", "vae-1", "vaegan-0", "vaegan-1"):
        for path in (copy / "runs" / name).glob("*.csv"):
            path.unlink()
    report.write()
    assert "There is no answer yet" in page(copy)


def test_a_failure_alone_makes_a_page(copy: Path) -> None:
    for path in (copy / "runs").glob("va*"):
        shutil.rmtree(path)
    table.write()
    report.write()
    assert "train_rnn: &lt;out&gt; of memory" in page(copy)


def test_no_run_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^results/runs: no run yet; run make study$"):
        report.write()
    assert not (tmp_path / "results").exists()


def test_the_same_results_give_the_same_bytes(copy: Path, written: Path) -> None:
    shutil.rmtree(copy / "figures")
    (copy / "report.html").unlink()
    report.write()
    assert (copy / "report.html").read_bytes() == (written / "results/report.html").read_bytes()
    assert {path.name for path in (copy / "figures").iterdir()} == PICTURES
    for name in PICTURES:
        first = (written / "results/figures" / name).read_bytes()
        assert (copy / "figures" / name).read_bytes() == first


def test_stretches_are_the_unbroken_runs_of_true() -> None:
    where = np.array([True, True, False, True, False, False, True])
    assert figures.stretches(where) == [slice(0, 2), slice(3, 4), slice(6, 7)]
    assert figures.stretches(np.zeros(3, bool)) == []


def test_off_the_road_is_further_than_its_half_width() -> None:
    path = np.array([[0, 0, 6.6], [0, 0, -6.7], [0, 0, 6.7]])
    assert figures.off_road(path).tolist() == [False, True, True]


def test_equal_and_very_bad_returns_can_be_drawn() -> None:
    for values in (np.full(5, 900.0), np.array([-90.0, 0.0, 930.0])):
        limits = figures.returns_range([values])
        assert limits[0] < values.min()
        assert limits[1] > values.max()
        assert figures.svg(Panel("", "", figures.swarms({"vae": values}, limits)))


def test_the_tables_hold_what_there_is(copy: Path) -> None:
    shutil.rmtree(runs.RUNS)
    save_run("z", 1)
    runs.save(RunRecord(cell="vae-1", variant="vae", seed=1, scale="laptop", changes=[],
                        commit="0123456789", machine={}, error="it failed"), {})  # fmt: skip
    table.write()
    markdown.write()
    returns, differences, trained = markdown.TABLES.read_text().strip().split("\n\n")
    assert [line.count("|") for line in returns.splitlines()] == [10] * 4
    assert "| vae-1 | failed: it failed | " in returns
    assert "| z-1 | " in returns
    assert len(differences.splitlines()) == 2
    assert "| a processor | `0123456` |" in trained


def test_a_control_is_held_against_its_pair_over_its_seeds_or_tracks(copy: Path) -> None:
    save_run("z", 0)
    for seed in (0, 1):
        save_run("all-weights", seed)
    for variant in ("z", "vae"):
        save_run(variant, 9)  # outside the grid: in the table of runs alone
    table.write()
    markdown.write()
    _, _, *rows = markdown.TABLES.read_text().strip().split("\n\n")[-1].splitlines()
    one, two = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)

    def returns(cell: str) -> np.ndarray:
        values: np.ndarray = pd.read_csv(runs.RUNS / cell / "evaluate.csv")["return"].to_numpy()
        return values

    z, vae = (returns(f"{variant}-0").mean() for variant in ("z", "vae"))
    assert one[:5] == ["z: VAE, z alone", "vae", "0", f"{z:.1f}", f"{vae:.1f}"]
    assert one[5].replace(MINUS, "-").startswith(f"{z - vae:+.1f} (")
    of_tracks = artifacts.read_json(table.COMPARISON)["pairs"][1]["tracks"][0]["bootstrap"]
    assert one[5].endswith(f"({span(of_tracks, 1)})")

    ours, theirs = (
        np.array([returns(f"{variant}-{seed}").mean() for seed in (0, 1)])
        for variant in ("all-weights", "vae")
    )
    low, high = stats.ttest_rel(ours, theirs).confidence_interval()
    assert two[2:5] == ["0, 1", f"{ours.mean():.1f}", f"{theirs.mean():.1f}"]
    assert two[5] == f"{signed((ours - theirs).mean(), 1)} ({span((low, high), 1)})"
    assert two[6] == "0.00 / 0.00"  # no return of these runs is below 600
