"""What the sources claim and what a control asks, and the measured answers as text and whiskers.

Every number and every verdict comes from comparison.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from study.comparison import BETTER, MEASURES, RETURN, SEEDS_NEEDED, UNJUDGED, WORSE, Measure
from study.formatting import number, percent, signed, span

BY_KEY = {measure.key: measure for measure in MEASURES}


@dataclass(frozen=True)
class Claim:
    """What the sources say of the VAE-GAN, and the measures that tell."""

    text: str
    """The claim in a sentence."""
    keys: tuple[str, ...]
    """The measures on which it says which of the two is ahead."""
    expects: str
    """The verdict on the VAE-GAN that bears the claim out."""
    beside: tuple[str, ...] = ()
    """Measures on which it names no side, or of which it does not speak."""
    note: str = ""
    """What is to be said of those."""
    lacking: str = ""
    """Why runs may lack `keys`, which are then not judged: a sentence."""


CLAIMS = (
    Claim(
        "The VAE-GAN reconstructs better and captures more features.",
        tuple(measure.key for measure in MEASURES if measure.key.startswith("encode.")),
        BETTER,
    ),
    Claim(
        "It costs more time and memory to train.",
        ("train_vision.seconds", "train_vision.peak_memory_mb"),
        WORSE,
    ),
    Claim(
        "It trains the memory (MDN-RNN) about as fast, to a better loss.",
        ("train_rnn.nll_gain",),
        BETTER,
        (
            "train_rnn.nll",
            "train_rnn.nll_marginal",
            "train_rnn.nll_last_mean",
            "train_rnn.nll_linear",
            "train_rnn.seconds",
            *(f"train_rnn.open_loop_mse_{steps}" for steps in (1, 5, 15, 50)),
        ),
        "The NLL itself is limited by the noise of the posterior, which differs between the "
        "models: the gain compares, with a filter of the same latents. It is also larger where the "
        "filter is worse. “About as fast” names no side: the ratio of the seconds tells. Of the "
        "open-loop errors the claim does not speak: they are of memory and decoder together, and "
        "the decoders differ.",
        "Runs before the filter gave memory and baseline sampled latents: a memory beats the last "
        "one by averaging the noise of the posterior away, and that noise differs between the "
        "models.",
    ),
    Claim(
        "It gives the controller a better reward.",
        (
            "evaluate.mean",
            "evaluate.iqm",
            "evaluate.failed_percent",
            "evaluate.std",
            "evaluate.min",
            "evaluate.laps_finished",
        ),
        BETTER,
    ),
)
CONTROL_KEYS = (
    "evaluate.mean",
    "evaluate.iqm",
    "evaluate.failed_percent",
    "evaluate.std",
    "evaluate.min",
    "evaluate.laps_finished",
    "encode.ssim",
    "train_rnn.nll_gain",
)
"""The measures that a control is compared by."""


@dataclass(frozen=True)
class Whisker:
    """A difference and its intervals as places on a line, in percent of its width; 50 is no
    difference, and further right is better for ours."""

    mean: float
    """The mean difference."""
    bootstrap: tuple[float, float]
    """The ends of the bootstrap interval."""
    t: tuple[float, float] | None
    """The ends of Student's t, None where it is not shown."""
    seeds: list[float]
    """The difference of each seed."""


@dataclass(frozen=True)
class Row:
    """A measure of two variants, as text."""

    title: str
    good: str
    ours: str
    theirs: str
    difference: str
    bootstrap: str
    t: str
    ratio: str
    ahead: str
    ahead_interval: str
    verdict: str
    leader: str | None
    """The variant that the verdict puts ahead."""
    as_claimed: bool | None
    whisker: Whisker


def _places(values: Sequence[float], extent: float, good: str) -> list[float]:
    sign = 1 if good == "higher" else -1
    return [round(50 + 48 * sign * value / extent, 2) for value in values]


def row(pair: dict[str, Any], measure: Measure, expects: str | None = None) -> Row:
    """Returns a measure of `pair` of comparison.json as text; `expects` is the verdict that a claim
    on it would have."""
    found = pair["measures"][measure.key]
    ours, theirs = (np.array(found[side]["values"]) for side in ("ours", "theirs"))
    extent = max(map(abs, (*found["bootstrap"], *found["t"], *(ours - theirs)))) or 1.0
    mean, *ends = _places(
        [found["difference"], *found["bootstrap"], *found["t"]], extent, measure.good
    )
    verdict, mean_theirs = found["verdict"], found["theirs"]["mean"]
    decided = {BETTER: pair["ours"], WORSE: pair["theirs"]}
    # a difference is smaller than what it is one of
    digits = measure.digits + (measure.digits >= 3)
    ahead, *interval = found["probability_ahead"]
    enough = len(pair["seeds"]) >= SEEDS_NEEDED
    return Row(
        title=measure.title,
        good=measure.good,
        ours=number(found["ours"]["mean"], measure.digits),
        theirs=number(mean_theirs, measure.digits),
        difference=signed(found["difference"], digits),
        bootstrap=span(found["bootstrap"], digits),
        t=span(found["t"], digits),
        ratio=_ratio(measure, found["ours"]["mean"], mean_theirs),
        ahead=percent(ahead),
        ahead_interval=" to ".join(map(percent, interval)) if enough else "",
        verdict=verdict,
        leader=decided.get(verdict),
        as_claimed=verdict == expects if expects and verdict in decided else None,
        whisker=Whisker(
            mean, (ends[0], ends[1]), (ends[2], ends[3]),
            _places(list(ours - theirs), extent, measure.good),
        ),
    )  # fmt: skip


def _ratio(measure: Measure, ours: float, theirs: float) -> str:
    """Returns how many times theirs ours is, of what a training costs; nothing otherwise."""
    costs = ("seconds", "per_second", "memory_mb")
    return f"{ours / theirs:.2f}" if measure.key.endswith(costs) and theirs else ""


def headline(pair: dict[str, Any]) -> dict[str, Any]:
    """Returns the answer, and the same tracks seed by seed on one scale, for `pair` of
    comparison.json."""
    found, tracks = pair["measures"][RETURN.key], pair["tracks"]
    extent = max((abs(end) for track in tracks for end in track["bootstrap"]), default=0.0) or 1.0
    return {
        "row": row(pair, RETURN),
        "higher": found["difference"] > 0,
        "gap": number(abs(found["difference"]), RETURN.digits),
        "seeds": pair["seeds"],
        "iqm": {
            side: _iqm(found[side]["iqm"], len(pair["seeds"]) >= SEEDS_NEEDED)
            for side in ("ours", "theirs")
        },
        "dots": _dots(found),
        "tracks": [
            {
                "seed": track["seed"],
                "ours": number(mine, RETURN.digits),
                "theirs": number(other, RETURN.digits),
                "difference": signed(track["difference"], RETURN.digits),
                "bootstrap": span(track["bootstrap"], RETURN.digits),
                "ahead": track["ahead"],
                "behind": track["behind"],
                "same": track["tracks"] - track["ahead"] - track["behind"],
                "n": track["tracks"],
                "whisker": _track_whisker(track, extent),
            }
            for track, mine, other in zip(
                tracks, found["ours"]["values"], found["theirs"]["values"], strict=True
            )
        ],
    }  # fmt: skip


def _track_whisker(track: dict[str, Any], extent: float) -> Whisker:
    mean, low, high = _places([track["difference"], *track["bootstrap"]], extent, RETURN.good)
    return Whisker(mean, (low, high), None, [])


def _dots(found: dict[str, Any]) -> dict[str, Any]:
    """Returns both variants' seeds on one line: the ends of the scale, and places in percent."""
    values = {side: np.array(found[side]["values"]) for side in ("ours", "theirs")}
    together = np.concatenate(list(values.values()))
    low, high = together.min(), together.max()
    places = {side: 3 + 94 * (of - low) / ((high - low) or 1.0) for side, of in values.items()}
    return {
        "low": number(low, RETURN.digits),
        "high": number(high, RETURN.digits),
        "seeds": {side: of.round(2).tolist() for side, of in places.items()},
        "mean": {side: round(float(of.mean()), 2) for side, of in places.items()},
    }


def _iqm(values: Sequence[float], enough: bool) -> str:
    mean, low, high = (number(value, RETURN.digits) for value in values)
    return f"{mean} ({low} to {high})" if enough else mean


def measured(claim: Claim, pair: dict[str, Any]) -> dict[str, Any]:
    """Returns a claim with the rows of its measures, for `pair` of comparison.json."""
    measured = pair["measures"]
    rows = [row(pair, BY_KEY[key], claim.expects) for key in claim.keys if key in measured]
    beside = [row(pair, BY_KEY[key]) for key in claim.beside if key in measured]
    return {
        "text": claim.text,
        "expects": claim.expects,
        "rows": rows,
        "beside": beside,
        "note": claim.note,
        "lacking": [BY_KEY[key].title for key in claim.keys if key in pair["lacking"]],
        "why": claim.lacking,
        "tally": _tally(rows),
        "tally_beside": _tally(beside),
        "score": _score(rows) if rows else UNJUDGED,
    }


def _score(rows: Sequence[Row]) -> str:
    as_claimed = [row.as_claimed for row in rows]
    words = {True: "as claimed", False: "the opposite", None: "undecided"}
    return ", ".join(f"{as_claimed.count(key)} {word}" for key, word in words.items())


def _tally(rows: Sequence[Row]) -> str:
    verdicts = [row.verdict for row in rows]
    return ", ".join(f"{word} on {verdicts.count(word)}" for word in dict.fromkeys(verdicts))


def control(pair: dict[str, Any]) -> dict[str, Any]:
    """Returns a pair of comparison.json that is not the question's: the difference on the same
    tracks within each seed and, from two seeds on, the measures. What is the same in both, run for
    run, is only named: the control shares it."""
    measured = [BY_KEY[key] for key in CONTROL_KEYS if key in pair["measures"]]
    same = [m for m in measured if _same(pair["measures"][m.key])]
    return {
        "ours": pair["ours"],
        "theirs": pair["theirs"],
        "seeds": pair["seeds"],
        "tracks": [
            f"seed {of['seed']}: {signed(of['difference'], 1)} ({span(of['bootstrap'], 1)})"
            for of in pair["tracks"]
        ],
        "rows": [row(pair, measure) for measure in measured if measure not in same],
        "same": [measure.title for measure in same],
    }


def _same(found: dict[str, Any]) -> bool:
    return bool(found["ours"]["values"] == found["theirs"]["values"])
