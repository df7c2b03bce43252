"""What the study runs: vision models, controls, the sources' own systems and training seeds.

The two variants that are compared, `vae` and `vaegan`, have the same encoder and decoder at the
laptop scale (`presets.laptop.train_vaegan.networks: vae`) and, seed by seed, the same episodes to
learn from and the same tracks to drive on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Variant:
    """One way to run the pipeline."""

    name: str
    title: str
    changes: tuple[str, ...]
    """Arguments of `dvc exp run -S`; `{preset}` stands for the preset of the scale in
    params.yaml."""
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """A variant with a training seed: one run."""

    variant: Variant
    seed: int
    settings: tuple[str, ...] = ()
    """Arguments of `dvc exp run -S` that all cells of a study have in common."""

    @property
    def name(self) -> str:
        """The name of the cell, of its experiment and of its folder in results/runs."""
        return f"{self.variant.name}-{self.seed}"

    def own_changes(self, scale: str) -> list[str]:
        """Returns the arguments of `dvc exp run -S` at a scale that make it another cell."""
        preset = f"presets.{scale}"
        changes = [change.format(preset=preset) for change in self.variant.changes]
        return [*changes, f"seed={self.seed}"]

    def changes(self, scale: str) -> list[str]:
        """Returns all arguments of `dvc exp run -S` at a scale."""
        return [*self.own_changes(scale), *self.settings]


VAE = Variant("vae", "VAE", ("vision=vae",), SEEDS)
VAEGAN = Variant("vaegan", "VAE-GAN", ("vision=vaegan",), SEEDS)
_NETWORKS = (
    "vision=vaegan",
    "{preset}.train_vaegan.networks=seed",
    "{preset}.train_vaegan.depth=8",
)
CONTROLS = (
    Variant(
        "untrained-memory",
        "VAE, a memory that was never trained",
        ("vision=vae", "{preset}.train_rnn.steps=0"),
        SEEDS[:3],
    ),
    Variant("z", "VAE, z alone", ("vision=vae", "train_controller.inputs=z"), SEEDS[:3]),
    Variant(
        "z-hidden",
        "VAE, z alone, a hidden layer of 40",
        ("vision=vae", "train_controller.inputs=z", "train_controller.hidden_units=40"),
        SEEDS[:3],
    ),
    Variant(
        "all-weights",
        "VAE, all 867 weights searched after z",
        (
            "vision=vae",
            "{preset}.train_controller.phases.h.weights=all",
            "{preset}.train_controller.phases.tail.weights=all",
        ),
        SEEDS[:3],
    ),
    Variant(
        "return-alone",
        "VAE, wheels off the road cost nothing",
        ("vision=vae", "{preset}.train_controller.off_road_cost=0.0"),
        SEEDS[:3],
    ),
    Variant("vaegan-networks", "VAE-GAN in the seed networks, depth 8", _NETWORKS, SEEDS[:3]),
    Variant(
        "networks",
        "the seed networks, depth 8, no discriminator",
        # a warm-up that outlasts every training
        (*_NETWORKS, "{preset}.train_vaegan.warmup=1000000"),
        SEEDS[:3],
    ),
)
_SOURCES = (
    "vision=vaegan",
    "train_vaegan.heads=tanh",
    "{preset}.train_vaegan.networks=seed",
    "{preset}.train_vaegan.depth=4",
    "{preset}.train_vaegan.batch_size=32",
    "{preset}.train_vaegan.steps=20000",
)
SOURCES = tuple(
    Variant(recipe, title, (*_SOURCES, f"train_vaegan.recipe={recipe}"), SEEDS[:1])
    for recipe, title in (
        ("balanced", "the losses of the second source"),
        ("larsen", "Algorithm 1 of Larsen et al."),
        ("larsen-similarity", "Algorithm 1, similarity times 1,000 for the decoder"),
        ("minimax", "the losses of the first source"),
        ("minimax-similarity", "the losses of the first source, similarity times 1,000"),
    )
)
"""The sources' losses in their networks, at the depth and length that two cores bear: of one seed
each, so that the table of runs shows them and nothing is held against them."""
VARIANTS = (VAE, VAEGAN, *CONTROLS, *SOURCES)
TITLES = {variant.name: variant.title for variant in VARIANTS}
OURS, THEIRS = VAEGAN.name, VAE.name
"""The pair that the question is about."""


def cells(settings: Sequence[str] = ()) -> list[Cell]:
    """Returns the cells of VARIANTS as they are run, the pair first, then the controls and the
    sources, each seed by seed; `settings` are arguments of `dvc exp run -S` for each."""
    common = tuple(settings)
    return [
        Cell(variant, seed, common)
        for variants in ((VAE, VAEGAN), CONTROLS, SOURCES)
        for seed in SEEDS
        for variant in variants
        if seed in variant.seeds
    ]
