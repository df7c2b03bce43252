"""How the VAE-GAN learns: which loss moves which network and which way, and that it repeats."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from wm.nn.compute import Compute
from wm.vision.models.vae import networks as vae
from wm.vision.models.vae.learner import VaeLearner
from wm.vision.models.vaegan.learner import Settings, VaeganLearner, create_learner
from wm.vision.models.vaegan.networks import Config
from wm.vision.models.vaegan.recipes import RECIPES, Recipe
from wm.vision.training.losses import sample
from wm.vision.training.schedule import Schedule

CPU = Compute(torch.device("cpu"), torch.float32)


def learner(recipe: Recipe | str = "anchored", warmup: int = 0, **config: object) -> VaeganLearner:
    name = recipe if isinstance(recipe, str) else "anchored"
    settings = {
        "latent_size": 6,
        "channels": 4,
        "depth": 2,
        "networks": "seed",
        "recipe": name,
        **config,
    }
    chosen = RECIPES[name] if isinstance(recipe, str) else recipe
    return VaeganLearner(
        Config.model_validate(settings), CPU, chosen, steps=50, warmup=warmup, seed=0
    )


def noise(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


def frames(n: int = 4, seed: int = 0) -> torch.Tensor:
    x = torch.rand(n, 64, 64, 3, generator=noise(seed))
    return x.permute(0, 3, 1, 2)


def values(module: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def moved(before: list[torch.Tensor], module: nn.Module) -> bool:
    pairs = zip(before, module.parameters(), strict=True)
    return any(not torch.equal(old, new) for old, new in pairs)


@pytest.mark.parametrize("recipe", list(RECIPES))
@pytest.mark.parametrize("networks", ["seed", "vae"])
def test_every_recipe_moves_every_network(recipe: str, networks: str) -> None:
    subject = learner(recipe, networks=networks)
    model = subject.model
    parts = [model.encoder, model.decoder, model.discriminator]
    before = [values(part) for part in parts]
    logs = subject.step(frames(), noise(0))
    assert all(torch.isfinite(value) for value in logs.values())
    assert all(moved(old, part) for old, part in zip(before, parts, strict=True))
    weights = [parameter for part in parts for parameter in part.parameters()]
    assert all(bool(torch.isfinite(parameter).all()) for parameter in weights)


def test_the_warm_up_is_the_vae_to_the_bit() -> None:
    recipe = RECIPES["anchored"]
    config = vae.Config(latent_size=6, channels=4, kl_weight=recipe.kl, kerb_weight=recipe.kerb)
    same = VaeLearner(config, CPU, Schedule(recipe.rate, 50, True), seed=0)
    subject = learner(warmup=3, networks="vae")
    discriminator = values(subject.model.discriminator)
    for step in range(3):
        assert "discriminator" not in subject.step(frames(), noise(step))
        same.step(frames(), noise(step))
    for name, tensor in same.model.state_dict().items():
        assert torch.equal(tensor, subject.model.state_dict()[name]), name
    assert not moved(discriminator, subject.model.discriminator)
    assert "discriminator" in subject.step(frames(), noise(3))
    assert moved(discriminator, subject.model.discriminator)


def only(**weights: object) -> Recipe:
    """A plain recipe in which no loss acts on encoder or decoder but those given."""
    nothing: dict[str, object] = {
        "pixel": 0.0,
        "kl": 0.0,
        "feature": (0.0, 0.0),
        "adversarial": 0.0,
        "relative": False,
        "limit": None,
    }
    return dataclasses.replace(RECIPES["anchored"], **nothing | weights)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recipe", "encoder", "decoder"),
    [
        (only(), False, False),
        (only(adversarial=1.0), False, True),  # Algorithm 1: the encoder gets none of it
        (only(adversarial=1.0, fakes=("sample",)), False, True),
        (only(kl=1.0, free_bits=0.0), True, False),
        (only(moment=1.0), True, False),
        (only(feature=(1.0, 0.0)), True, False),
        (only(feature=(0.0, 1.0)), False, True),
        (only(pixel=1.0), True, True),
    ],
)
def test_losses_reach_the_networks_that_they_should(
    recipe: Recipe, encoder: bool, decoder: bool
) -> None:
    subject = learner(recipe)
    before = values(subject.model.encoder), values(subject.model.decoder)
    subject.step(frames(), noise(0))
    assert moved(before[0], subject.model.encoder) == encoder
    assert moved(before[1], subject.model.decoder) == decoder


def reconstruction(subject: VaeganLearner, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        mu, logvar = subject.model.encoder(x)
        picture: torch.Tensor = subject.model.decoder(sample(mu, logvar, noise(0)))
    return picture


def mean_logit(subject: VaeganLearner, x: torch.Tensor) -> float:
    with torch.no_grad():
        return float(subject.model.discriminator(x)[1].mean())


def test_a_discriminator_step_tells_frames_from_pictures_and_touches_nothing_else() -> None:
    subject = learner(only())
    x, model = frames(), subject.model
    model.encoder(x)[0].sum().backward()  # gradients that the step must leave alone
    model.decoder(torch.zeros(4, 6)).sum().backward()
    pictures = {"reconstruction": model.decoder(model.encoder(x)[0])}
    others = [*model.encoder.parameters(), *model.decoder.parameters()]
    before = [(p.detach().clone(), p.grad.clone()) for p in others if p.grad is not None]
    assert len(before) > 20
    real, fake = mean_logit(subject, x), mean_logit(subject, pictures["reconstruction"])
    subject._discriminator_step(x, pictures)
    assert mean_logit(subject, x) > real
    assert mean_logit(subject, pictures["reconstruction"]) < fake
    after = [(p, p.grad) for p in others if p.grad is not None]
    for (old, old_gradient), (new, gradient) in zip(before, after, strict=True):
        assert torch.equal(old, new)
        assert gradient is not None
        assert torch.equal(old_gradient, gradient)


@pytest.mark.parametrize("saturating", [True, False])
def test_a_decoder_step_raises_the_discriminators_logit(saturating: bool) -> None:
    recipe = only(adversarial=1.0, saturating=saturating, discriminator_rate=0.0)
    subject = learner(recipe)
    discriminator = values(subject.model.discriminator)
    before = mean_logit(subject, reconstruction(subject, frames()))
    for _ in range(3):
        subject.step(frames(), noise(0))
    assert mean_logit(subject, reconstruction(subject, frames())) > before
    assert not moved(discriminator, subject.model.discriminator)


def test_a_decoder_step_leaves_no_gradient_in_the_discriminator() -> None:
    subject = learner(only(adversarial=1.0, feature=(1.0, 1.0)))
    x, model = frames(), subject.model
    pictures = {"reconstruction": model.decoder(model.encoder(x)[0])}
    subject._picture_gradients(x, pictures, torch.ones_like(x))
    assert all(parameter.grad is None for parameter in model.discriminator.parameters())


def test_relative_weights_are_shares_of_the_pixel_gradient() -> None:
    recipe = only(feature=(0.5, 0.25), relative=True)
    subject = learner(recipe)
    x, model = frames(), subject.model
    pictures = {"reconstruction": model.decoder(model.encoder(x)[0])}
    pixel = torch.full_like(x, 0.01)
    for_encoder, for_decoder, _ = subject._picture_gradients(x, pictures, pixel)
    assert float(for_encoder.norm() / pixel.norm()) == pytest.approx(0.5, rel=1e-3)
    share = for_decoder["reconstruction"].norm() / pixel.norm()
    assert float(share) == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize(("limit", "expected"), [(None, 3.0), (0.5, 0.5), (1e9, 3.0)])
def test_the_limit_holds_the_adversarial_gradient_down_and_never_up(
    limit: float | None, expected: float
) -> None:
    subject = learner(only(adversarial=7.0, limit=limit))
    x, model = frames(), subject.model
    pictures = {"reconstruction": model.decoder(model.encoder(x)[0])}
    free = learner(only(adversarial=7.0))._picture_gradients(x, pictures, torch.ones_like(x))[1]
    pixel = torch.ones_like(x) * free["reconstruction"].norm() / (3 * x.numel() ** 0.5)
    _, for_decoder, logs = subject._picture_gradients(x, pictures, pixel)
    share = for_decoder["reconstruction"].norm() / pixel.norm()
    assert float(share) == pytest.approx(expected, rel=1e-3)
    assert float(logs["adversarial_share"]) == pytest.approx(3.0, rel=1e-3)


def test_the_discriminator_slows_down_with_the_decoder() -> None:
    subject = learner("anchored", warmup=10)  # of 50 steps
    rates = []
    for done in (10, 30, 49):
        subject.done = done
        subject.step(frames(), noise(done))
        rates.append(subject.discriminator_optimizer.param_groups[0]["lr"])
    full = subject.recipe.discriminator_rate
    assert rates[:2] == pytest.approx([full, full / 2])
    assert rates[2] < 0.01 * full


def test_balance_slows_a_discriminator_that_is_ahead() -> None:
    """As in the second source: its rate falls when fakes look more fake to it than real."""
    subject = learner("balanced")
    head = subject.model.discriminator.head[-1]
    assert isinstance(head, nn.Linear)
    for bias, ahead in [(-2.0, True), (2.0, False)]:
        head.bias.data.fill_(bias)  # all is fake, or all is real
        subject._discriminator_step(frames(), {"sample": frames(seed=1)})
        share = (
            subject.discriminator_optimizer.param_groups[0]["lr"]
            / subject.recipe.discriminator_rate
        )
        assert (share < 0.1) if ahead else (share > 0.9)


@pytest.mark.parametrize("recipe", ["anchored", "larsen"])
def test_the_same_bits_twice_and_after_a_resume(recipe: str) -> None:
    first, second, resumed = (learner(recipe, warmup=1) for _ in range(3))
    for step in range(4):
        if step == 2:
            resumed.load_state_dict(copy.deepcopy(first.state_dict()))
        for subject in (first, second) if step < 2 else (first, second, resumed):
            subject.step(frames(), noise(step))
    for subject in (second, resumed):
        for name, tensor in first.model.state_dict().items():
            assert torch.equal(tensor, subject.model.state_dict()[name]), name


def test_a_batch_is_no_smaller_than_batch_normalisation_takes() -> None:
    with pytest.raises(ValidationError, match=r"batch_size\n.* greater than or equal to 2"):
        Settings(
            latent_size=6, channels=4, recipe="minimax", warmup=7,
            steps=100, batch_size=1, validate_every=2, held_out_frames=5,
        )  # fmt: skip


def test_a_learner_has_what_the_stages_parameters_ask_for() -> None:
    settings = Settings(
        latent_size=6, channels=4, recipe="balanced", warmup=7,
        steps=100, batch_size=3, validate_every=2, held_out_frames=5,
    )  # fmt: skip
    subject = create_learner(settings, CPU, seed=0)
    assert subject.config == Config(latent_size=6, channels=4, recipe="balanced")
    assert subject.recipe == RECIPES["balanced"]
    assert subject.warmup == 0  # it has no pixel term
    anchored = settings.model_copy(update={"recipe": "anchored"})
    assert create_learner(anchored, CPU, seed=0).warmup == 7
    assert create_learner(anchored, CPU, seed=0).schedule == Schedule(
        RECIPES["anchored"].rate, 100, True
    )


@pytest.mark.parametrize(("steps", "warmup", "adversarial"), [(9, 4, 5), (4, 4, 0), (3, 4, 0)])
def test_a_warmup_that_is_never_left_is_said(
    steps: int, warmup: int, adversarial: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """What comes of it is a plain VAE under the VAE-GAN's name."""
    settings = Settings.model_validate({
        "networks": "vae", "channels": 4, "depth": 2, "latent_size": 6, "batch_size": 4,
        "recipe": "anchored", "heads": "linear", "steps": steps, "warmup": warmup,
        "validate_every": 1, "held_out_frames": 4,
    })  # fmt: skip
    subject = create_learner(settings, CPU, seed=0)
    assert subject.summary() == {"adversarial_steps": adversarial}
    said = capsys.readouterr().err
    assert said.count("\n") == (adversarial == 0)
    assert ("the discriminator never sets in" in said) == (adversarial == 0)


def test_a_recipe_without_a_warmup_counts_every_step() -> None:
    assert learner("larsen", warmup=40).summary() == {"adversarial_steps": 50}
