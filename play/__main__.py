"""One official episode on a track: by published models, side by side, or by a person.

python -m play [--models NAME ...] [--track 7] [--window] [--film videos/drive.mp4]
python -m play --human [--track 7]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from play import human, together
from play.pictures import Film
from play.published import BEST
from play.screen import Screen, demand_display
from wm.core.car_racing import MAX_EPISODE_STEPS
from wm.core.errors import UserError
from wm.core.seeding import evaluation_seed
from wm.report import figures
from wm.runtime.entry import command

FILM = Path("videos/drive.mp4")
HELP = """\
Without --human, published models drive and videos/drive.mp4 shows them: several side by side on the
same track, each under its name and its return so far; one that is over stands still.

With --human you drive. Arrow keys: left and right steer, up is gas, down is the brake. Escape or
Ctrl-C ends the episode. It is kept in data/human, in the format of data/episodes; one that you end
is kept as truncated, if it has at least 10 steps. The window shows the time and the return so far.
"""


def drive_models(names: Sequence[str], given: argparse.Namespace) -> None:
    """Drives with the models, and prints a line for each."""
    seed = evaluation_seed(given.track)
    film, screen = Film(), Screen(f"track {given.track}") if given.window else None
    if screen:
        demand_display("--window", "leave it out for a film")
    else:
        _demand_folder((given.film or FILM).parent, "name a film elsewhere by --film")
    outcomes = together.drive(
        names,
        seed,
        steps=given.steps,
        show=screen.show if screen else film.append,
        stopped=lambda: screen is not None and screen.closed,
    )
    for name, outcome in zip(names, outcomes, strict=True):
        print(f"{name}: return {outcome.return_:.1f} on track {given.track} (seed {seed})")
    if screen:
        if screen.closed:
            print(f"the window was closed after {max(outcome.steps for outcome in outcomes)} steps")
        screen.linger()
        screen.close()
    else:
        figures.write_film(given.film or FILM, iter(film))
        print(f"the film is {given.film or FILM}")


def drive_yourself(given: argparse.Namespace) -> None:
    """Lets a person drive; prints the return, and where the episode is kept."""
    if given.models or given.window or given.film:
        raise UserError("--human drives alone, in a window: leave out --models, --window, --film")
    demand_display("--human", "a person drives in a window")
    _demand_folder(human.EPISODES, "that is where your episode would be kept")
    seed = evaluation_seed(given.track)
    screen = Screen("you drive")
    with human.ctrl_c_ends(screen):
        outcome = human.drive(screen, given.track, seed, given.steps)
        print(f"you: return {outcome.return_:.1f} on track {given.track} (seed {seed})")
        if outcome.steps < human.FEWEST_STEPS:
            print(f"{outcome.steps} steps are too few: not kept")
        else:
            assert outcome.episode is not None
            print(f"the episode of {outcome.steps} steps is {human.keep(outcome.episode)}")
    screen.linger()  # now that it is kept
    screen.close()


def _demand_folder(folder: Path, remedy: str) -> None:
    """Makes the folder, before a drive that nobody should lose to one that cannot be; raises
    UserError, with what to do about it, where nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); {remedy}") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder}: cannot be written; {remedy}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Drives, and prints what came of it; raises UserError for what is not there."""
    parser = argparse.ArgumentParser(
        prog="python -m play",
        description="One official episode, by published models or by you.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="NAME",
        help=f"published runs, or folders like them; {BEST[0]} if left out",
    )
    parser.add_argument("--track", type=int, default=0, help="an evaluation track, from 0")
    parser.add_argument("--steps", type=int, default=MAX_EPISODE_STEPS, help="the most of them")
    parser.add_argument("--window", action="store_true", help="show it instead of filming it")
    parser.add_argument("--film", type=Path, help=f"where the film goes ({FILM})")
    parser.add_argument("--human", action="store_true", help="drive yourself, in a window")
    given = parser.parse_args(arguments)
    if given.track < 0 or not 1 <= given.steps <= MAX_EPISODE_STEPS:
        raise UserError(f"--track counts from 0, and --steps are 1 to {MAX_EPISODE_STEPS}")
    if given.window and given.film:
        raise UserError("--window shows the drive and --film films it: leave out one")
    if given.film and (given.film.suffix != ".mp4" or given.film.is_dir()):
        raise UserError(f"--film {given.film}: the film is an MP4; name a file that ends in .mp4")
    if given.human:
        drive_yourself(given)
    else:
        drive_models(given.models or BEST[:1], given)


if __name__ == "__main__":
    command(main)
