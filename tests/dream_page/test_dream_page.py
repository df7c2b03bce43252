"""The page as a file: one, small, complete, the same bytes again."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from play import dream, published
from tests.dream_page import made
from wm.control.dream_page import networks, page
from wm.core import artifacts
from wm.core.errors import UserError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made.run(tmp_path / "made-0")


def numbers(html: str) -> list[np.ndarray]:
    blocks = re.findall(r'class="numbers">([^<]+)<', html)
    return [np.frombuffer(base64.b64decode(block), "<f4") for block in blocks]


def test_the_page_is_one_file_of_all_models_named(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "dream.html"
    names = [*published.names(), str(run)]
    dream.main(["--models", *names, "--page", str(target)])
    assert capsys.readouterr().out == f"the page is {target}: open it in a browser\n"
    assert [path.name for path in target.parent.iterdir()] == ["dream.html"]
    html = target.read_text()
    content = json.loads(re.search(r'id="content">(.+?)</script>', html)[1])  # type: ignore[index]
    assert [model["name"] for model in content["models"]] == [*published.names(), "made-0"]
    assert content["models"][-1]["title"] == "VAE-GAN"
    assert len(content["starts"]) == len(dream.read_starts())
    frame = dream.read_starts()[0].frames[-1]
    assert base64.b64decode(content["starts"][0]["frame"]) == frame.tobytes()
    assert len(numbers(html)) == len(names)
    assert "<!--" not in html


def test_the_page_of_make_dream_is_small_and_needs_no_network(tmp_path: Path) -> None:
    target = tmp_path / "dream.html"
    dream.main(["--page", str(target)])
    content = re.search(r'id="content">(.+?)</script>', target.read_text())
    models = json.loads(content[1])["models"]  # type: ignore[index]
    assert [model["name"] for model in models] == list(published.BEST)
    assert target.stat().st_size < page.LARGEST
    html = target.read_text()
    assert "://" not in html
    assert not re.search(r'(src|href)="(?!data:)', html)
    for way_out in ("fetch(", "XMLHttpRequest", "import(", "@import", "url("):
        assert way_out not in html


def test_the_page_holds_the_models_numbers(tmp_path: Path, run: Path) -> None:
    target = tmp_path / "dream.html"
    dream.main(["--models", str(run), "--page", str(target)])
    (row,) = numbers(target.read_text())
    layers = networks.layers_of(networks.decoder_of(run / "vision"), made.Z)
    assert layers is not None
    decoder = networks.flat(networks.numbers(layers))
    assert np.array_equal(row[: len(decoder)], decoder)
    memory = artifacts.load_tensors(run / "memory" / "weights.safetensors")
    gates = np.concatenate([memory["lstm.weight_ih_l0"], memory["lstm.weight_hh_l0"]], axis=1)
    assert np.array_equal(row[len(decoder) :][: gates.size], gates.ravel())
    vector = artifacts.load_tensors(run / "controller" / "weights.safetensors")["vector"]
    states = len(dream.read_starts()) * (made.Z + 2 * made.H)
    found = row[-states - len(vector) : -states]
    assert np.array_equal(found, vector.astype(np.float32))


def test_the_same_models_give_the_same_bytes(tmp_path: Path, run: Path) -> None:
    for name in ("a", "b"):
        dream.main(["--models", str(run), "--page", str(tmp_path / name)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_decoder_that_is_not_known_is_a_notice(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(networks, "layers_of", lambda decoder, size: None)
    monkeypatch.setattr(page, "LARGEST", 1000)
    dream.main(["--models", str(run), "--page", str(tmp_path / "dream.html")])
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("notice: the dream's page shows no picture of made-0")
    assert re.match(r"notice: .*dream.html has 0\.2 MB, more than the 0 MB", said[1])


def test_what_is_not_there_is_one_line(tmp_path: Path, run: Path) -> None:
    with pytest.raises(UserError, match="--models nobody: no such run"):
        dream.main(["--models", "nobody"])
    (run / "memory" / "weights.safetensors").unlink()
    with pytest.raises(UserError, match="memory"):
        dream.main(["--models", str(run), "--page", str(tmp_path / "dream.html")])


def test_starts_are_recorded_from_held_out_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dream, "STARTS", tmp_path / "starts")
    monkeypatch.setattr(dream, "EPISODES", tmp_path / "episodes")
    from tests.dream_page.test_dream_starts import episode, saved

    (tmp_path / "starts").mkdir()
    (tmp_path / "starts" / "old.safetensors").touch()
    (tmp_path / "episodes").mkdir()
    saved(tmp_path / "episodes", *(episode(number, 30) for number in range(4)))
    dream.main(["--record-starts"])
    (start,) = dream.read_starts()
    assert len(start.actions) == 20
    assert [path.name for path in (tmp_path / "starts").iterdir()] == ["start_0.safetensors"]
    for other in ("--models", "--page"):
        with pytest.raises(UserError, match="--record-starts writes no page: leave out"):
            dream.main(["--record-starts", other, "mine"])


def test_starts_stay_where_others_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dream, "STARTS", tmp_path / "starts")
    with pytest.raises(UserError, match="no start in it; git checkout published/starts"):
        dream.read_starts()
    (tmp_path / "starts").mkdir()
    (tmp_path / "starts" / "start_0.safetensors").write_bytes(b"a start")

    def full(path: Path, start: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(dream.starts, "choose", lambda files: [None])
    monkeypatch.setattr(dream.episodes, "held_out_files", lambda folder, ids: [])
    monkeypatch.setattr(dream.episodes, "ids_in", lambda folder: [])
    monkeypatch.setattr(dream.episodes, "save", full)
    with pytest.raises(OSError, match="No space left"):
        dream.record_starts()
    assert (tmp_path / "starts" / "start_0.safetensors").read_bytes() == b"a start"
