"""The dreams of published models as one page, which opens in a browser without a network.

python -m play.dream [--models NAME ...] [--page videos/dream.html]

With --record-starts it takes the starts anew from the workspace's held-out episodes, by the rule of
wm/control/dream_page/starts.py, and writes them to published/starts: for whoever publishes models
that were trained on other episodes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from play import published
from wm.control.dream_page import page, starts
from wm.core import artifacts, episodes
from wm.core.errors import UserError
from wm.nn import compute
from wm.runtime.entry import command

STARTS = published.HERE / "starts"
"""A file for each start: the steps before it, its frame the last one."""
EPISODES, PAGE = Path("data/episodes"), Path("videos/dream.html")


def read_starts() -> list[episodes.Episode]:
    """Returns the starts that are in the repository; UserError when one is damaged, or there are
    none."""
    remedy = "git checkout published/starts"
    paths = sorted(STARTS.glob("*.safetensors"))
    if not paths:
        raise UserError(f"{STARTS}: no start in it; {remedy} brings them back")
    return [episodes.EpisodeFile(path, remedy).read() for path in paths]


def record_starts() -> None:
    """Writes the starts of the workspace's held-out episodes in place of those that are there."""
    chosen = starts.choose(episodes.held_out_files(EPISODES, episodes.ids_in(EPISODES)))
    with artifacts.publish(STARTS) as folder:
        for number, start in enumerate(chosen):
            episodes.save(folder / f"start_{number}.safetensors", start)


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the page; raises UserError for what is not there."""
    parser = argparse.ArgumentParser(description="Dreams of published models, as a page.")
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="NAME",
        help="published runs, or folders like them, that dream side by side; "
        f"{' and '.join(published.BEST)} if left out",
    )
    parser.add_argument("--page", type=Path, help=f"where the page goes ({PAGE})")
    parser.add_argument("--record-starts", action="store_true", help="from data/episodes")
    given = parser.parse_args(arguments)
    if given.record_starts:
        if given.models or given.page:
            raise UserError("--record-starts writes no page: leave out --models, --page")
        record_starts()
        print(f"the starts are in {STARTS}")
        return
    prepared = compute.prepare(published.SHARED, threads=1)
    chosen = given.models or published.BEST
    folders = [published.folder(name) for name in chosen]
    short = [folder.name for folder in folders]
    names = short if len(set(short)) == len(short) else chosen
    models = []
    for name, folder in zip(names, folders, strict=True):
        vision, memory, controller = (folder / part for part in ("vision", "memory", "controller"))
        with published.reading(folder):
            models.append(page.read(name, vision, memory, controller, prepared))
    page.write(given.page or PAGE, models, read_starts())
    print(f"the page is {given.page or PAGE}: open it in a browser")


if __name__ == "__main__":
    command(main)
