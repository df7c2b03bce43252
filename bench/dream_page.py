"""Frames a second of two dreams side by side in headless Chromium on one core: the page with its
own WebAssembly, the same with plain typed arrays, and onnxruntime-web, which npm downloads.

python -m bench.dream_page [--repeats 5] writes bench/dream_page.json. It takes Chromium, npm and
the packages of `pip install -c constraints.txt '.[bench]'`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from bench import side_by_side
from bench.side_by_side import Contest
from play import dream, published
from verify import browser
from verify.workspace import commit
from wm.control.dream_page import networks
from wm.core import artifacts
from wm.memory.networks import trained as memory
from wm.nn.compute import Compute, seeded
from wm.runtime.entry import command
from wm.vision.models.vae.networks import Config, build
from wm.vision.networks import trained as vision
from wm.vision.networks.trained import Autoencoder

RESULTS = Path(__file__).parent / "dream_page.json"
LIBRARY = "onnxruntime-web@1.30.0"
FILES = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""What a page needs of it, for the processor alone."""
CPU = Compute(torch.device("cpu"), torch.float32)
DREAMS, FRAMES, SECONDS, PATIENCE = 2, 60, 5, 200
OURS = """
(count) => {
  dreams.forEach((dream) => dream.reset(0));
  pause(true);
  const started = performance.now();
  for (let i = 0; i < count; i++) {
    for (const dream of dreams) {
      const { uniforms, normals } = noise(dream.models.latent);
      dream.step(dream.act(), 1, uniforms, normals);
      dream.frame();
    }
  }
  return (1000 * count) / (performance.now() - started);
}
"""
SESSIONS = """
async () => {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = location.origin + "/";
  const session = (name) => ort.InferenceSession.create(`/${name}.onnx`);
  window.sessions = { memory: await session("memory"), decoder: await session("decoder") };
  const tensor = (values, shape) => new ort.Tensor("float32", Float32Array.from(values), shape);
  window.theirs = async (dream, action, uniforms, normals) => {
    const { memory } = dream.models;
    const state = { h: memory.h, c: memory.c };
    const inputs = { x: tensor([...dream.z, ...action], [1, 1, dream.z.length + 3]) };
    for (const [name, of] of Object.entries(state)) inputs[name] = tensor(of, [1, 1, of.length]);
    const found = await sessions.memory.run(inputs);
    memory.begin(found.next_h.data, found.next_c.data);
    memory.mixture = found.heads.data;
    memory.sample(1, uniforms, normals, dream.z);
    return (await sessions.decoder.run({ z: tensor(dream.z, [1, dream.z.length]) })).frame.data;
  };
}
"""
THEIRS = """
async (count) => {
  dreams.forEach((dream) => dream.reset(0));
  const started = performance.now();
  for (let i = 0; i < count; i++) {
    for (const dream of dreams) {
      const { uniforms, normals } = noise(dream.models.latent);
      await theirs(dream, dream.act(), uniforms, normals);
    }
  }
  return (1000 * count) / (performance.now() - started);
}
"""
APART = """
async () => {
  const dream = dreams[0];
  const { uniforms, normals } = noise(dream.models.latent);
  pause(true);
  dream.reset(0);
  const theirs_ = await theirs(dream, [0.1, 0.5, 0], uniforms, normals);
  dream.reset(0);
  dream.step([0.1, 0.5, 0], 1, uniforms, normals);
  const frame = dream.frame();
  let largest = 0; // theirs is (channels, rows, columns)
  for (let i = 0; i < frame.length; i++) {
    const there = theirs_[(i % 3) * 4096 + Math.floor(i / 3)];
    largest = Math.max(largest, Math.abs(frame[i] - there));
  }
  return largest;
}
"""


def decoder_graph(layers: list[networks.Layer], latent: int) -> onnx.ModelProto:
    """The same layers as the page's, of ONNX's operators."""
    nodes: list[Any] = []
    arrays: dict[str, np.ndarray] = {}
    name = "z"
    for i, layer in enumerate(layers):
        arrays[f"b{i}"], out = layer.bias, f"x{i}"
        if layer.stride:
            arrays[f"w{i}"] = layer.weight.transpose(2, 3, 0, 1)
            nodes.append(helper.make_node(
                "ConvTranspose", [name, f"w{i}", f"b{i}"], [out],
                strides=[layer.stride] * 2, pads=[layer.padding] * 4,
            ))  # fmt: skip
        else:
            order = np.arange(len(layer.bias)).reshape(layer.shape).transpose(2, 0, 1).ravel()
            arrays[f"w{i}"], arrays[f"b{i}"] = layer.weight[order].T, layer.bias[order]
            arrays[f"s{i}"] = np.array([1, layer.shape[2], *layer.shape[:2]])
            nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"d{i}"]))
            nodes.append(helper.make_node("Reshape", [f"d{i}", f"s{i}"], [out]))
        kind = {"relu": "Relu", "sigmoid": "Sigmoid"}[layer.activation]
        name = "frame" if i == len(layers) - 1 else f"a{i}"
        nodes.append(helper.make_node(kind, [out], [name]))
    return _model(nodes, arrays, {"z": [1, latent]}, {"frame": [1, 3, 64, 64]})


def memory_graph(model: Any) -> onnx.ModelProto:
    """The LSTM and its heads, of ONNX's operators."""
    state = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    hidden = model.hidden_size

    def gates(array: np.ndarray) -> np.ndarray:  # PyTorch has i, f, g, o; ONNX i, o, f, g
        i, f, g, o = array.reshape(4, hidden, -1)
        return np.concatenate([i, o, f, g])[None]

    arrays = {
        "w": gates(state["lstm.weight_ih_l0"]),
        "r": gates(state["lstm.weight_hh_l0"]),
        "b": np.concatenate(
            [gates(state[f"lstm.bias_{part}_l0"])[..., 0] for part in ("ih", "hh")], 1
        ),
        "heads_w": np.concatenate([state["mixture_head.weight"], state["event_head.weight"]]).T,
        "heads_b": np.concatenate([state["mixture_head.bias"], state["event_head.bias"]]),
        "flat": np.array([1, hidden]),
    }
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r", "b", "", "h", "c"], ["", "next_h", "next_c"],
                         hidden_size=hidden),
        helper.make_node("Reshape", ["next_h", "flat"], ["row"]),
        helper.make_node("Gemm", ["row", "heads_w", "heads_b"], ["heads"]),
    ]  # fmt: skip
    one, outputs = [1, 1, hidden], 3 * model.latent_size * model.mixtures + 2
    return _model(
        nodes,
        arrays,
        {"x": [1, 1, model.latent_size + 3], "h": one, "c": one},
        {"heads": [1, outputs], "next_h": one, "next_c": one},
    )


def _model(
    nodes: list[Any],
    arrays: dict[str, np.ndarray],
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int]],
) -> onnx.ModelProto:
    kept = [
        numpy_helper.from_array(array if array.dtype == np.int64 else array.astype("f4"), name)
        for name, array in arrays.items()
    ]
    taken, given = (
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, of[key]) for key in of]
        for of in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, "networks", taken, given, kept)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def paper_size(folder: Path) -> Path:
    """A run with an untrained decoder of the paper's width, and the published memory and
    controller."""
    with seeded(0):
        config = Config(channels=32)
        vision.save(folder / "vision", "vae", Autoencoder(*build(config)), config.model_dump())
    for name in ("memory", "controller"):
        shutil.copytree(published.HERE / published.names()[0] / name, folder / name)
    return folder


def library(folder: Path) -> int:
    """Puts the library's files into `folder`; returns their bytes."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["npm", "pack", "--silent", LIBRARY], cwd=scratch, check=True)
        (archive,) = Path(scratch).glob("*.tgz")
        with tarfile.open(archive) as packed:
            for name in FILES:
                source = packed.extractfile(f"package/dist/{name}")
                assert source is not None
                (folder / name).write_bytes(source.read())
    return sum((folder / name).stat().st_size for name in FILES)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Yields the address of a server of `folder`: the library fetches its parts."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def measure(run: Path, folder: Path, chromium: Any, address: str, repeats: int) -> dict[str, Any]:
    """Returns the rows of a run, the size of its page, and what the page itself shows."""
    size = vision.read_config(run / "vision").latent_size
    layers = networks.layers_of(networks.decoder_of(run / "vision"), size)
    assert layers is not None
    remembers = memory.load(run / "memory", size, CPU.device)
    onnx.save(decoder_graph(layers, size), folder / "decoder.onnx")
    onnx.save(memory_graph(remembers), folder / "memory.onnx")
    dream.main(["--models", *[str(run)] * DREAMS, "--page", str(folder / "dream.html")])
    tab, plain = (chromium.new_page(viewport={"width": 1280, "height": 800}) for _ in range(2))
    for each in (tab, plain):
        each.set_default_timeout(1000 * PATIENCE)
    tab.goto(f"{address}/dream.html")
    tab.wait_for_timeout(1000 * SECONDS)
    shown = tab.evaluate("state.rate")
    tab.add_script_tag(url=f"{address}/{FILES[0]}")
    tab.evaluate(SESSIONS)
    apart = tab.evaluate(APART)
    plain.goto(f"{address}/dream.html#plain")
    plain.evaluate("pause(true)")
    contenders = {
        "ours": lambda: float(tab.evaluate(OURS, FRAMES)),
        "typed arrays alone": lambda: float(plain.evaluate(OURS, FRAMES)),
        LIBRARY: lambda: float(tab.evaluate(THEIRS, FRAMES)),
    }
    contest = Contest(f"{DREAMS} dreams of {run.name}", "frames/s", contenders)
    rows = [row.record() for row in side_by_side.run(contest, repeats)]
    print(side_by_side.table(rows), flush=True)
    tab.close()
    plain.close()
    return {
        "run": run.name,
        "page_bytes": (folder / "dream.html").stat().st_size,
        "shown_frames_per_second": round(shown, 1),
        "largest_difference_of_a_pixel": apart,
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Frames a second of the dream's page.")
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    if repeats < 1:
        parser.error("--repeats: at least 1")
    if lacking := browser.missing():
        sys.exit(f"error: {lacking}")
    content: dict[str, Any] = {
        "machine": side_by_side.machine(), "commit": commit(RESULTS), "repeats": repeats
    }  # fmt: skip
    side_by_side.one_core()
    with tempfile.TemporaryDirectory() as name, browser.chromium() as chromium:
        folder = Path(name)
        content["chromium"] = chromium.version
        content["library"] = {"name": LIBRARY, "bytes": library(folder)}
        runs = [published.HERE / published.names()[0], paper_size(folder / "paper-size, untrained")]
        with served(folder) as address:
            content["runs"] = [measure(run, folder, chromium, address, repeats) for run in runs]
    artifacts.write_json(RESULTS, content)
    print(f"page shows {[run['shown_frames_per_second'] for run in content['runs']]} frames/s")


if __name__ == "__main__":
    command(main)
