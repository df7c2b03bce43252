"""The models as DVC artifacts: a tag names a version, and `dvc artifacts get` fetches it."""

from pathlib import Path

import pytest
import yaml

from tests.conftest import Command
from verify.workspace import ROOT


def test_every_model_is_an_artifact() -> None:
    document = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    outs = {out for stage in document["stages"].values() for out in stage.get("outs", [])}
    models = {out for out in outs if out.startswith("models/")}
    published = {entry["path"]: name for name, entry in document["artifacts"].items()}
    # a vision model of one's own need not be published
    assert {"models/vae", "models/vaegan", "models/rnn", "models/controller"} <= set(published)
    assert set(published) <= models
    for path, name in published.items():
        assert path == f"models/{name}"


@pytest.mark.parametrize("name", ["vae", "controller"])
def test_a_tagged_version_is_fetched_without_a_clone(
    repository: Path, shell: Command, tmp_path: Path, name: str
) -> None:
    remote, elsewhere = tmp_path / "remote", tmp_path / "elsewhere"
    elsewhere.mkdir()
    shell(repository, "dvc", "remote", "add", "--local", "--force", "team", str(remote))
    shell(repository, "dvc", "push", "--remote", "team", f"models/{name}")
    shell(repository, "git", "tag", "-a", f"{name}@v1.0.0", "-m", "a version")
    # by a URL, as of a host: of a path DVC would make a remote of the cache there
    shell(elsewhere, "dvc", "artifacts", "get", f"file://{repository}", name,
          "--remote", "team", "--remote-config", f"url={remote}")  # fmt: skip
    files = {path.name: path.read_bytes() for path in (elsewhere / name).iterdir()}
    there = repository / "models" / name
    assert files == {path.name: path.read_bytes() for path in there.iterdir()}
    assert "config.json" in files
