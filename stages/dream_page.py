"""Write the dream as a page, videos/dream_page.html: the workspace's models, starts held out."""

from __future__ import annotations

from pathlib import Path

from wm.control.dream_page import page, starts
from wm.core import episodes, params
from wm.nn import arithmetic, compute
from wm.runtime.entry import main

EPISODES, MEMORY, CONTROLLER, PAGE = (
    Path("data/episodes"),
    Path("models/rnn"),
    Path("models/controller"),
    Path("videos/dream_page.html"),
)


def run() -> None:
    shared = params.load_shared()
    prepared = compute.prepare(shared, threads=1)
    vision = Path("models") / shared.vision
    arithmetic.compare([vision, MEMORY, CONTROLLER], shared)
    models = page.read("workspace", vision, MEMORY, CONTROLLER, prepared)
    chosen = starts.choose(episodes.held_out_files(EPISODES, episodes.ids_in(EPISODES)))
    page.write(PAGE, [models], chosen)


if __name__ == "__main__":
    main(run)
