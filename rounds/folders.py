"""Where a round's files are."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Round:
    """The folders of a round; those of round 0 hold what the pipeline made, and what begin
    has found beside it."""

    number: int
    """The number of the round."""

    @property
    def dreamer(self) -> Path:
        """The memory that has learned from the drives of all rounds before."""
        return Path(f"models/rounds/{self.number}/rnn")

    @property
    def candidates(self) -> Path:
        """The round's candidates: folders of controllers, named 0, 1, ..."""
        return Path(f"models/rounds/{self.number}/candidates")

    @property
    def drives(self) -> Path:
        """What the round drove, and the candidate that drove best."""
        return Path(f"data/rounds/{self.number}")

    @property
    def trials(self) -> Path:
        """The drives of all candidates on the same tracks, as the vision model encodes them."""
        return self.drives / "trials" / "latents"

    @property
    def of_best(self) -> Path:
        """The drives of the best candidate on other tracks, as the vision model encodes them."""
        return self.drives / "best" / "latents"

    @property
    def starts(self) -> tuple[Path, ...]:
        """The drives in which the next round's dreams begin: of all points of this one's climb,
        which are much like the best one. Round 0's trials are left out: searches drive each in its
        own way."""
        return (self.of_best, self.trials) if self.number else (self.of_best,)

    @property
    def controller(self) -> Path:
        """The best candidate."""
        return self.drives / "controller"

    def metrics(self, stage: str) -> Path:
        """Returns the file of a stage's metrics."""
        return Path(f"metrics/rounds/{self.number}/{stage}.json")

    def before(self) -> Round:
        """Returns the round before."""
        return Round(self.number - 1)


MEMORY = Round(0).dreamer
"""The pipeline's memory. Controllers of all rounds see its state: one that was found with the state
of a memory drives otherwise with that of another."""


def of_command_line() -> Round:
    """Returns the round that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("round", type=int, help="0 begins with what the pipeline made")
    return Round(parser.parse_args().round)
