"""Writes the page: HTML, style, scripts, models and starts in one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from wm.control.dream_page import networks, starts
from wm.control.policy import controller
from wm.core import artifacts
from wm.core.episodes import Episode
from wm.memory.networks import trained as memory
from wm.memory.networks.mdnrnn import MDNRNN
from wm.nn import weights
from wm.nn.compute import Compute
from wm.vision.networks import trained as vision

HERE = Path(__file__).parent
SCRIPTS = ("product.js", "layers.js", "models.js", "dream.js", "hands.js", "main.js")
"""In the order in which the page loads them."""
TITLES = {"vae": "VAE", "vaegan": "VAE-GAN"}
"""Of the kinds of vision models; another has its own name."""
LARGEST = 8_000_000
"""Bytes that a page should not exceed."""


@dataclass(frozen=True)
class Models:
    """A vision model, a memory and a controller that belong together."""

    name: str
    kind: str
    vision: vision.Vision
    decoder: nn.Module
    memory: MDNRNN
    config: controller.ControllerConfig
    vector: np.ndarray
    """The controller's parameters, float (P,)."""


def read(
    name: str, vision_folder: Path, memory_folder: Path, controller_folder: Path, compute: Compute
) -> Models:
    """Returns the models in three folders; UserError when one is missing or damaged."""
    seen = vision.load(vision_folder, compute)
    remembers = memory.load(memory_folder, seen.latent_size, compute.device)
    config, vector = controller.load(controller_folder, seen.latent_size, remembers.hidden_size)
    kind = weights.read_config(vision_folder)["kind"]
    decoder = networks.decoder_of(vision_folder)
    return Models(name, kind, seen, decoder, remembers, config, vector)


def write(path: Path | str, models: Sequence[Models], chosen: Sequence[Episode]) -> None:
    """Writes the page of one model or several, side by side, with its starts.

    Says on stderr what it cannot show: a decoder with layers that the page does not know, or a size
    above LARGEST.
    """
    described, blocks = [], []
    for model in models:
        facts, numbers = _described(model, chosen)
        if facts["decoder"] is None:
            print(
                f"notice: the dream's page shows no picture of {model.name}: its decoder has "
                "layers that wm/control/dream_page/networks.py does not know",
                file=sys.stderr,
            )
        described.append(facts)
        blocks.append(base64.b64encode(numbers.tobytes()).decode())
    content = {
        "models": described,
        "starts": [
            {"episode": start.id, "frame": base64.b64encode(start.frames[-1].tobytes()).decode()}
            for start in chosen
        ],
    }
    parts = {
        "style": (HERE / "page.css").read_text(encoding="utf-8"),
        "content": json.dumps(content, sort_keys=True),
        "numbers": "\n".join(
            f'<script type="text/plain" class="numbers">{block}</script>' for block in blocks
        ),
        "scripts": "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS),
    }
    page = (HERE / "page.html").read_text(encoding="utf-8")
    for name, text in parts.items():
        page = page.replace(f"<!--{name}-->", text)
    encoded = page.encode()
    if len(encoded) > LARGEST:
        print(
            f"notice: {path} has {len(encoded) / 1e6:.1f} MB, more than the {LARGEST / 1e6:.0f} MB "
            "that a page should have; fewer channels or hidden units make it smaller",
            file=sys.stderr,
        )
    artifacts.write_bytes(path, encoded)


def _described(model: Models, chosen: Sequence[Episode]) -> tuple[dict[str, Any], np.ndarray]:
    """Returns what the page is told of a model, and all its numbers in one row, float32 (N,):
    decoder, memory, controller, and z, h and c of each start."""
    layers = networks.layers_of(model.decoder, model.vision.latent_size)
    state = {
        name: tensor.detach().cpu().double().numpy()
        for name, tensor in model.memory.state_dict().items()
    }
    arrays = [
        *networks.numbers(layers or []),
        np.concatenate([state["lstm.weight_ih_l0"], state["lstm.weight_hh_l0"]], axis=1),
        state["lstm.bias_ih_l0"] + state["lstm.bias_hh_l0"],
        np.concatenate([state["mixture_head.weight"], state["event_head.weight"]]),
        np.concatenate([state["mixture_head.bias"], state["event_head.bias"]]),
        model.vector,
    ]
    for start in chosen:
        arrays += starts.remembered(model.vision, model.memory, start)
    facts = {
        "name": model.name,
        "title": TITLES.get(model.kind, model.kind),
        "decoder": None if layers is None else [layer.facts() for layer in layers],
        "latent": model.vision.latent_size,
        "hidden": model.memory.hidden_size,
        "mixtures": model.memory.mixtures,
        "inputs": model.config.inputs,
        "units": model.config.hidden_units,
    }
    numbers = networks.flat(arrays)
    # a page that is passed on says what it was made from
    facts["digest"] = hashlib.sha256(numbers.tobytes()).hexdigest()[:12]
    return facts, numbers
