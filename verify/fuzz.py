"""Bytes that atheris makes up from a good file, steered by what they reach in the readers' code:
each is read, or refused in one line that names the file. It ends at the first finding.

python -m verify.fuzz READER FOLDER [libFuzzer's options]
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["wm", "ruamel", "json", "safetensors"]):
    import numpy as np
    import ruamel.yaml  # noqa: F401
    import torch

    from verify.stage import schema_of
    from verify.workspace import ROOT
    from wm.core import artifacts, episodes, params
    from wm.core.errors import UserError
    from wm.runtime.checkpoint import Checkpoint, Serializer
    from wm.runtime.torch_serializer import TorchSerializer

Reader = Callable[[bytes], None]


class AnyDigest(str):
    """Equal to whatever a file says: as if who made its bytes had computed their digest too."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def main() -> None:
    reader, folder = sys.argv[1], Path(sys.argv[2])
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    os.chdir(folder)
    warnings.simplefilter("ignore")  # torch's, of pickles that it does not know
    read = READERS[reader](corpus)
    atheris.Setup([sys.argv[0], *sys.argv[3:], str(corpus)], read)
    atheris.Fuzz()


def _refused_or_read(path: Path, content: bytes, read: Callable[[], object]) -> None:
    path.write_bytes(content)
    try:
        read()
    except UserError as error:
        assert str(path) in str(error), error
        assert "\n" not in str(error), error


def _params(corpus: Path) -> Reader:
    shutil.copy(ROOT / "params.yaml", corpus)
    schemas = [(stage, schema_of(stage)) for stage in params.STAGES]
    path = Path("params.yaml")

    def read(content: bytes) -> None:
        stage, schema = schemas[len(content) % len(schemas)]
        _refused_or_read(path, content, lambda: params.load(stage, schema, path))

    return read


def _episode(corpus: Path) -> Reader:
    rng = np.random.default_rng(0)
    episode = episodes.Episode(
        3, 17, np.zeros((3, 64, 64, 3), np.uint8), rng.random((2, 3), np.float32), rng.random(2),
        False, True, rng.random((3, 6), np.float32),
    )  # fmt: skip
    episodes.save(corpus / "episode.safetensors", episode)
    artifacts.digest = lambda *_: AnyDigest()
    path = Path("episode.safetensors")
    return lambda content: _refused_or_read(
        path, content, lambda: episodes.EpisodeFile(path).read()
    )


def _tensors(corpus: Path) -> Reader:
    tensors: dict[str, np.ndarray] = {
        "weights": np.arange(4, dtype=np.float32),
        "scales": np.zeros((2, 2), np.uint8),
    }
    artifacts.save_tensors(corpus / "tensors.safetensors", tensors)
    artifacts.digest = lambda *_: AnyDigest()
    path = Path("tensors.safetensors")
    return lambda content: _refused_or_read(path, content, lambda: artifacts.load_tensors(path))


def _json(corpus: Path) -> Reader:
    (corpus / "metrics.json").write_text('{"mean": 1.5, "kind": "vae", "sizes": [1, null, true]}')
    path = Path("metrics.json")
    return lambda content: _refused_or_read(path, content, lambda: artifacts.read_json(path))


def _json_state(corpus: Path) -> Reader:
    state = {"state": {"rows": [{"step": 1, "loss": 0.1}], "done": True}, "elapsed": 1.0}
    (corpus / "state").write_text(json.dumps(state))
    return _state(None)


def _torch_state(corpus: Path) -> Reader:
    for zipped in (True, False):
        state = {"state": {"weights": torch.arange(3)}, "elapsed": 1.0}
        torch.save(state, buffer := io.BytesIO(), _use_new_zipfile_serialization=zipped)
        (corpus / f"zipped-{zipped}").write_bytes(buffer.getvalue())
    return _state(TorchSerializer())


def _state(serializer: Serializer | None) -> Reader:
    # it is held until the process ends
    checkpoint = Checkpoint("stage", {}, [], serializer).__enter__()
    path = checkpoint.directory / "state"
    return lambda content: _refused_or_read(
        path, hashlib.sha256(content).digest() + content, checkpoint.load
    )


READERS: dict[str, Callable[[Path], Reader]] = {
    "params.yaml": _params,
    "episode": _episode,
    "tensors": _tensors,
    "json": _json,
    "JSON state": _json_state,
    "torch state": _torch_state,
}

if __name__ == "__main__":
    main()
