"""Which tracks a run drove, told by their seeds."""

from __future__ import annotations

from collections.abc import Iterable

from wm.core.seeding import DEVELOPMENT_OFFSET, evaluation_seed

FIRST_UNSEEN = evaluation_seed(3072)
"""Returns on the evaluation tracks before were in sight when the present search was chosen."""
DEVELOPMENT, EVALUATION, TRAINING = "development", "evaluation", "training"
ABOUT = {
    DEVELOPMENT: "The defaults were chosen with returns on development tracks in sight, so that "
    "returns on them may be optimistic. Evaluation drives other tracks from now on.",
    EVALUATION: "Nobody had looked at returns on these evaluation tracks when the defaults were "
    "chosen.",
}
"""What is to be said of tracks, by their name."""


def name(seeds: Iterable[int]) -> str:
    """Returns the name of the tracks with these seeds; several names, joined by "and", where they
    are mixed."""
    return " and ".join(sorted({_name(seed) for seed in seeds}))


def _name(seed: int) -> str:
    if seed >= FIRST_UNSEEN:
        return EVALUATION
    return DEVELOPMENT if seed >= DEVELOPMENT_OFFSET else TRAINING
