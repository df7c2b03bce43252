"""The VAE-GAN: shapes, which loss moves which network and which way, and that it repeats."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from wm import adversarial, vae, vaegan
from wm.compute import Compute

CPU = Compute(torch.device("cpu"), torch.float32)


def learner(recipe: adversarial.Recipe | str = "anchored", warmup: int = 0, **config: object) -> (
    adversarial.VaeganLearner
):  # fmt: skip
    name = recipe if isinstance(recipe, str) else "anchored"
    settings = {
        "latent_size": 6,
        "channels": 4,
        "depth": 2,
        "networks": "seed",
        "recipe": name,
        **config,
    }
    chosen = adversarial.RECIPES[name] if isinstance(recipe, str) else recipe
    return adversarial.VaeganLearner(
        vaegan.VaeganConfig.model_validate(settings), CPU, chosen, steps=50, warmup=warmup, seed=0
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


# --- networks ---


@pytest.mark.parametrize("networks", ["seed", "vae"])
def test_shapes(networks: str) -> None:
    model = vaegan.VAEGAN(
        vaegan.VaeganConfig.model_validate(
            {"latent_size": 6, "channels": 4, "depth": 2, "networks": networks}
        )
    )
    mu, logvar = model.encoder(frames())
    assert mu.shape == logvar.shape == (4, 6)
    picture = model.decoder(mu)
    assert picture.shape == (4, 3, 64, 64)
    assert 0 <= picture.min().item() <= picture.max().item() <= 1
    features, logit = model.discriminator(picture)
    assert features.shape == (4, 16, 16, 16)
    assert logit.shape == (4, 1)
    assert logit.dtype == torch.float32


def test_seed_networks_have_the_sources_number_of_parameters() -> None:
    """Counted by hand from the description: kernel 5, biases, BatchNorm's scale and offset."""
    d, z = 4, 32

    def conv(a: int, b: int) -> int:
        return 25 * a * b + b

    def dense(a: int, b: int) -> int:
        return a * b + b

    config = vaegan.VaeganConfig(networks="seed", depth=d, recipe="larsen")
    model = vaegan.VAEGAN(config)
    encoder = conv(3, 2 * d) + conv(2 * d, 4 * d) + conv(4 * d, 8 * d) + 2 * 14 * d
    encoder += dense(64 * 8 * d, z) + 2 * z + 2 * dense(z, z)
    decoder = dense(z, 64 * 8 * d) + 2 * 64 * 8 * d
    decoder += conv(8 * d, 8 * d) + conv(8 * d, 4 * d) + conv(4 * d, d) + 2 * 13 * d + conv(d, 3)
    discriminator = conv(3, 4 * d) + conv(4 * d, 8 * d) + conv(8 * d, 8 * d) + 2 * 20 * d
    discriminator += dense(256 * 8 * d, 8 * d) + 2 * 8 * d + dense(8 * d, 1)
    for network, expected in [
        (model.encoder, encoder),
        (model.decoder, decoder),
        (model.discriminator, discriminator),
    ]:
        assert sum(p.numel() for p in network.parameters()) == expected


def test_convolutions_are_keras_same_on_mirrored_frames() -> None:
    """Keras pads by 1 before and 2 after, and crops a transposed convolution so."""
    layer = vaegan.SeedEncoder(6, 2, "tanh").body[0]
    assert isinstance(layer, nn.Conv2d)
    x = frames()
    keras = F.conv2d(F.pad(x, (1, 2, 1, 2)), layer.weight, layer.bias, stride=2)
    mirrored = nn.Conv2d(3, 4, 5, stride=2, padding=2)
    mirrored.weight.data, mirrored.bias = layer.weight.data.flip(2, 3), layer.bias
    torch.testing.assert_close(mirrored(x.flip(2, 3)).flip(2, 3), keras)
    up = next(m for m in vaegan.SeedDecoder(6, 2).body if isinstance(m, nn.ConvTranspose2d))
    y = torch.rand(2, 16, 8, 8, generator=noise(0))
    keras = F.conv_transpose2d(y, up.weight, up.bias, stride=2)[:, :, 1:-2, 1:-2]
    up.weight.data = up.weight.data.flip(2, 3)
    torch.testing.assert_close(up(y.flip(2, 3)).flip(2, 3), keras)


def test_tanh_heads_are_bounded_and_linear_ones_are_not() -> None:
    for heads, bounded in [("tanh", True), ("linear", False)]:
        encoder = vaegan.SeedEncoder(6, 2, heads)  # type: ignore[arg-type]
        encoder.heads.bias.data += 3
        mu, logvar = encoder(frames())
        assert (max(mu.max().item(), logvar.max().item()) <= 1) == bounded


# --- losses ---


def test_losses_of_the_discriminator_and_the_decoder() -> None:
    real, fakes = torch.tensor([[2.0]]), [torch.tensor([[-1.0]]), torch.tensor([[0.5]])]
    ones, zeros = torch.ones(1, 1), torch.zeros(1, 1)
    entropy = F.binary_cross_entropy_with_logits
    parts = [entropy(real, ones), entropy(fakes[0], zeros), entropy(fakes[1], zeros)]
    expected = 0.5 * parts[0] + 0.25 * parts[1] + 0.25 * parts[2]
    torch.testing.assert_close(adversarial.discriminator_loss(real, fakes), expected)
    torch.testing.assert_close(
        adversarial.adversarial_loss(fakes, saturating=True), 0.5 * parts[0] - expected
    )
    fooled = 0.5 * (entropy(fakes[0], ones) + entropy(fakes[1], ones))
    torch.testing.assert_close(adversarial.adversarial_loss(fakes, saturating=False), fooled)


@pytest.mark.parametrize("saturating", [True, False])
def test_the_decoder_wants_its_pictures_taken_for_real(saturating: bool) -> None:
    logit = torch.zeros(3, 1, requires_grad=True)
    (gradient,) = torch.autograd.grad(adversarial.adversarial_loss([logit], saturating), logit)
    assert bool((gradient < 0).all())  # descent raises the logit


def test_moment_loss_is_least_for_a_standard_normal() -> None:
    z = torch.randn(5000, 3, generator=noise(0))
    assert adversarial.moment_loss(z).item() < 1e-2
    assert adversarial.moment_loss(z + 1).item() == pytest.approx(1, abs=0.1)
    assert adversarial.moment_loss(3 * z).item() == pytest.approx(4, abs=0.2)


# --- the step ---


@pytest.mark.parametrize("recipe", list(adversarial.RECIPES))
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
    recipe = adversarial.RECIPES["anchored"]
    config = vae.VaeConfig(latent_size=6, channels=4, kl_weight=recipe.kl, kerb_weight=recipe.kerb)
    same = vae.VaeLearner(config, CPU, vae.Schedule(recipe.rate, 50, True), seed=0)
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


def only(**weights: object) -> adversarial.Recipe:
    """A plain recipe in which no loss acts on encoder or decoder but those given."""
    nothing: dict[str, object] = {
        "pixel": 0.0,
        "kl": 0.0,
        "feature": (0.0, 0.0),
        "adversarial": 0.0,
        "relative": False,
        "limit": None,
    }
    return dataclasses.replace(adversarial.RECIPES["anchored"], **nothing | weights)  # type: ignore[arg-type]


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
    recipe: adversarial.Recipe, encoder: bool, decoder: bool
) -> None:
    subject = learner(recipe)
    before = values(subject.model.encoder), values(subject.model.decoder)
    subject.step(frames(), noise(0))
    assert moved(before[0], subject.model.encoder) == encoder
    assert moved(before[1], subject.model.decoder) == decoder


def reconstruction(subject: adversarial.VaeganLearner, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        mu, logvar = subject.model.encoder(x)
        picture: torch.Tensor = subject.model.decoder(vae.sample(mu, logvar, noise(0)))
    return picture


def judged(subject: adversarial.VaeganLearner, x: torch.Tensor) -> float:
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
    real, fake = judged(subject, x), judged(subject, pictures["reconstruction"])
    subject._discriminator_step(x, pictures)
    assert judged(subject, x) > real
    assert judged(subject, pictures["reconstruction"]) < fake
    after = [(p, p.grad) for p in others if p.grad is not None]
    for (old, old_gradient), (new, gradient) in zip(before, after, strict=True):
        assert torch.equal(old, new)
        assert gradient is not None
        assert torch.equal(old_gradient, gradient)


@pytest.mark.parametrize("saturating", [True, False])
def test_a_decoder_step_raises_what_the_discriminator_thinks(saturating: bool) -> None:
    recipe = only(adversarial=1.0, saturating=saturating, discriminator_rate=0.0)
    subject = learner(recipe)
    discriminator = values(subject.model.discriminator)
    before = judged(subject, reconstruction(subject, frames()))
    for _ in range(3):
        subject.step(frames(), noise(0))
    assert judged(subject, reconstruction(subject, frames())) > before
    assert not moved(discriminator, subject.model.discriminator)


def test_a_decoder_step_leaves_no_gradient_in_the_discriminator() -> None:
    subject = learner(only(adversarial=1.0, feature=(1.0, 1.0)))
    x, model = frames(), subject.model
    pictures = {"reconstruction": model.decoder(model.encoder(x)[0])}
    subject._pull(x, pictures, torch.ones_like(x))
    assert all(parameter.grad is None for parameter in model.discriminator.parameters())


def test_relative_weights_are_shares_of_the_pixel_gradient() -> None:
    recipe = only(feature=(0.5, 0.25), relative=True)
    subject = learner(recipe)
    x, model = frames(), subject.model
    pictures = {"reconstruction": model.decoder(model.encoder(x)[0])}
    pixel = torch.full_like(x, 0.01)
    for_encoder, for_decoder, _ = subject._pull(x, pictures, pixel)
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
    free = learner(only(adversarial=7.0))._pull(x, pictures, torch.ones_like(x))[1]
    pixel = torch.ones_like(x) * free["reconstruction"].norm() / (3 * x.numel() ** 0.5)
    _, for_decoder, logs = subject._pull(x, pictures, pixel)
    share = for_decoder["reconstruction"].norm() / pixel.norm()
    assert float(share) == pytest.approx(expected, rel=1e-3)
    assert float(logs["adversarial_share"]) == pytest.approx(3.0, rel=1e-3)


def test_the_discriminator_slows_down_with_the_decoder() -> None:
    subject = learner("anchored", warmup=10)  # of 50 steps
    rates = []
    for done in (10, 30, 49):
        subject.done = done
        subject.step(frames(), noise(done))
        rates.append(subject.discriminator.param_groups[0]["lr"])
    full = subject.recipe.discriminator_rate
    assert rates[:2] == pytest.approx([full, full / 2])
    assert rates[2] < 0.01 * full


def test_balance_rests_a_discriminator_that_is_ahead() -> None:
    """Second source: its rate falls when fakes are told apart more surely than they fool."""
    subject = learner("balanced")
    head = subject.model.discriminator.head[-1]
    assert isinstance(head, nn.Linear)
    for bias, ahead in [(-2.0, True), (2.0, False)]:
        head.bias.data.fill_(bias)  # all is fake, or all is real
        subject._discriminator_step(frames(), {"sample": frames(seed=1)})
        share = subject.discriminator.param_groups[0]["lr"] / subject.recipe.discriminator_rate
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
