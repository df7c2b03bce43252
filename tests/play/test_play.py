"""Published models: what drives is what was trained, and the film shows all of it."""

import hashlib
import json
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pandas as pd
import pygame
import pytest
from PIL import Image

from play import dream, published
from play.__main__ import main
from play.screen import Screen
from study.grid import OURS, THEIRS
from verify.workspace import ROOT, hashes
from wm.core.errors import UserError
from wm.core.seeding import evaluation_seed
from wm.drive.rollout import rollout
from wm.env import official

STEPS = 25
OUTPUTS = {"vision": "models/vae", "memory": "models/rnn", "controller": "models/controller"}


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """The smoke run's models, as a published run has them."""
    for name, output in OUTPUTS.items():
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / name).symlink_to(finished / output)
    return tmp_path / "run"


def test_two_drive_side_by_side_as_they_drive_elsewhere(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "new" / "drive.mp4"
    options = ["--track", "3", "--steps", str(STEPS), "--film", str(film)]
    main(["--models", str(run), str(run), *options])
    seed = evaluation_seed(3)
    (outcome,) = rollout([official.make()], [seed], published.agent(str(run)), max_steps=STEPS)
    expected = f"{run}: return {outcome.return_:.1f} on track 3 (seed {seed})"
    assert capsys.readouterr().out.splitlines() == [expected, expected, f"the film is {film}"]
    frames = imageio_ffmpeg.read_frames(str(film))
    assert next(frames)["size"] == (1200, 440)
    pictures = [np.frombuffer(frame, np.uint8).reshape(440, 1200, 3) for frame in frames]
    assert len(pictures) == STEPS
    assert np.ptp(pictures[-1]) > 100
    left, right = pictures[-1][:, :600].astype(int), pictures[-1][:, 600:].astype(int)
    assert np.abs(left - right).mean() < 5
    assert [path.name for path in film.parent.iterdir()] == ["drive.mp4"]


def test_one_alone_is_as_gymnasium_draws_it(run: Path, tmp_path: Path) -> None:
    film = tmp_path / "drive.mp4"
    main(["--models", str(run), "--steps", "3", "--film", str(film)])
    frames = imageio_ffmpeg.read_frames(str(film))
    assert next(frames)["size"] == (600, 400)
    env = official.make("rgb_array")
    rollout([env], [evaluation_seed(0)], published.agent(str(run)), max_steps=3)
    *_, last = frames
    shown = np.frombuffer(last, np.uint8).reshape(400, 600, 3).astype(int)
    assert np.abs(shown - env.render()).mean() < 3


def test_what_is_not_there_is_one_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--models nobody: no such run"):
        main(["--models", "nobody"])
    (run / "memory").unlink()
    with pytest.raises(UserError, match="memory"):
        main(["--models", str(run)])
    with pytest.raises(UserError, match="--track counts from 0"):
        main(["--track", "-1"])
    with pytest.raises(UserError, match="--steps are 1 to 1000"):
        main(["--steps", "1001"])
    with pytest.raises(UserError, match=r"--film drive.gif: the film is an MP4; name a file"):
        main(["--film", "drive.gif"])
    with pytest.raises(UserError, match="leave out one"):
        main(["--window", "--film", "drive.mp4"])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: cannot be made .*name a film elsewhere by --film"):
        main(["--film", str(tmp_path / "file" / "drive.mp4")])


def test_a_published_model_that_is_damaged_comes_back_from_git(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(published, "HERE", tmp_path)
    (run / "memory").unlink()
    for drive in (main, dream.main):
        with pytest.raises(
            UserError, match=r"memory.*; git checkout published/run brings it back$"
        ):
            drive(["--models", "run"])


def test_of_a_folder_in_published_that_is_no_run_git_has_no_more() -> None:
    with pytest.raises(UserError, match=r"starts/vision") as raised:
        main(["--models", str(published.HERE / "starts")])
    assert "git checkout" not in str(raised.value)


def test_no_published_run_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(published, "HERE", tmp_path)
    for drive in (main, dream.main):
        with pytest.raises(UserError, match="no run in it; git checkout published"):
            drive([])
    assert published.folder(".") == Path()  # one's own is found
    (tmp_path / "other/controller").mkdir(parents=True)
    with pytest.raises(UserError, match=r"git checkout published/vae-3 brings it back$"):
        main([])


def test_escape_closes_the_window_of_one_model(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.quit()
    shown: list[Image.Image] = []

    def show(self: Screen, picture: Image.Image) -> None:
        shown.append(picture)
        self.closed |= len(shown) == 3

    monkeypatch.setattr(Screen, "show", show)
    main(["--models", str(run), "--window", "--steps", "9"])
    assert [picture.size for picture in shown] == [(600, 400)] * 4
    assert capsys.readouterr().out.splitlines()[-1] == "the window was closed after 4 steps"


def test_the_best_run_of_each_vision_model_drives_where_none_is_named() -> None:
    means = {
        path.parent.name: pd.read_csv(path)["return"].mean()
        for path in (ROOT / "results/runs").glob("*/evaluate.csv")
    }
    for variant, best in zip((THEIRS, OURS), published.BEST, strict=True):
        cells = [cell for cell in means if cell.rpartition("-")[0] == variant]
        assert len(cells) > 1
        assert best == max(cells, key=means.__getitem__)
        assert best in published.names()


def test_the_published_models_are_those_whose_results_are_committed() -> None:
    """vae-0 is the committed run; the others are cells of the study."""
    assert published.names()[0] == "vae-0"
    for name in published.names():
        record = ROOT / "results/runs" / name / "run.json"
        known = hashes(ROOT) if name == "vae-0" else json.loads(record.read_text())["hashes"]
        vision = json.loads((published.HERE / name / "vision/config.json").read_text())["kind"]
        for part, output in (OUTPUTS | {"vision": f"models/{vision}"}).items():
            folder = published.HERE / name / part
            # as DVC names a folder: by the JSON of its files' names and hashes
            entries = [
                {"md5": hashlib.md5(file.read_bytes()).hexdigest(), "relpath": file.name}
                for file in sorted(folder.iterdir())
            ]
            found = hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest()
            assert known[output] == f"{found}.dir", folder
