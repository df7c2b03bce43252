"""What README and docs point at exists: links, pictures, commands, tests, modules."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path

import pytest

from rounds.__main__ import PIPELINE
from study import markdown, runs, table
from verify.workspace import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CARDS = sorted((ROOT / "published").glob("*/README.md"))
MODULES = ("stages", "study", "bench", "verify", "share", "play", "rounds")
GENERATED = str(PIPELINE.with_suffix(""))
"""What `make rounds` writes and git does not have: rounds/dvc.yaml, rounds/dvc.lock."""
TESTS = {path.stem: path for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.name)
def document(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    titles = re.findall(r"(?m)^#+ (.+)$", path.read_text())
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_there_are_documents() -> None:
    assert len(DOCUMENTS) > 8
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize(
    "document",
    [*DOCUMENTS, *CARDS, ROOT / "EXPERIMENTS.md"],
    ids=lambda path: path.parent.name + "/" + path.name,
)
def test_links_and_pictures_exist(document: Path) -> None:
    text = document.read_text()
    targets = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', text)]
    for target in targets:
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name) if name else document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_tests_and_files_that_are_named_exist(document: Path) -> None:
    text = document.read_text()
    for module, test in re.findall(r"`(test_\w+)(?:\.(test_\w+))?`", text):
        assert module in TESTS, module
        assert not test or f"def {test}(" in TESTS[module].read_text(), test
    for name in re.findall(rf"`((?:wm|tests|{'|'.join(MODULES)})/[\w/]+\.\w+)`", text):
        assert (ROOT / name).exists() or name.startswith(GENERATED), name


def test_commands_that_are_named_exist(document: Path) -> None:
    text = document.read_text()
    targets = re.findall(r"(?m)^(\w+):", (ROOT / "Makefile").read_text())
    for target in re.findall(r"`make ([a-z]\w*)[^`\n]*`|^make (\w+)", text, re.M):
        assert (target[0] or target[1]) in targets, target
    for module in re.findall(r"python -m ([a-z_.]+)", text):
        if module.split(".")[0] in MODULES:
            assert importlib.util.find_spec(module.rstrip(".")), module


def test_the_tables_are_those_of_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """No number of a table is copied by hand: `make report` writes them."""
    monkeypatch.chdir(ROOT)
    command = ["git", "status", "--porcelain", "--", "results"]
    if subprocess.run(command, check=False, capture_output=True, cwd=ROOT).stdout:
        pytest.skip("results/ is not the last commit's: a study that has gone on has other tables")
    written = markdown.TABLES.read_text().strip().split("\n\n")
    if not (kept := table.with_shared_costs(runs.load_all())):
        pytest.skip("no run is kept: they have made way for a study of one's own")
    comparison = json.loads(table.COMPARISON.read_text())
    assert written == markdown.tables(kept, comparison["pairs"]), "run make report"
    shown = (ROOT / "docs/results.md").read_text()
    for found in written:
        assert found in shown, f"copy it into docs/results.md: {found}"
    assert written[0] in (ROOT / "README.md").read_text()
