import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from wm.memory.networks import mixture
from wm.report import memory_metrics
from wm.report.memory_metrics import (
    Baselines,
    Transitions,
    dream,
    open_loop_errors,
    reward_correlation,
)

Z = 6


def walks(seed, n=400):
    """An episode of n noisy steps whose dimensions differ in scale and centre; every step starts
    anew, from a mean that is known and with an action that adds to the first dimension."""
    rng = np.random.default_rng(seed)
    scale, centre = np.geomspace(0.1, 10, Z), np.linspace(-5, 5, Z)
    mu = rng.normal(size=(n + 1, Z)) * scale + centre
    actions = rng.normal(size=(n, 3))
    z = mu.copy()
    z[1:] = 0.9 * (mu[:-1] - centre) + centre + rng.normal(0, 0.3, (n, Z)) * scale
    z[1:, 0] += actions[:, 0] * scale[0]
    return [Transitions(mu, actions, z)]


def nats(mean, std, values):
    """Mean of -log p over (N, Z) by torch, in nats per dimension."""
    mean, std, values = (torch.from_numpy(np.asarray(x)) for x in (mean, std, values))
    return float(-Normal(mean, std).log_prob(values).mean())


def test_fit_is_the_closed_form():
    (walk,) = walks(0)
    current, following = walk.mu[:-1], walk.z[1:]
    fitted = Baselines.fit([walk])
    np.testing.assert_allclose(fitted.mean, following.sum(0) / 400)
    np.testing.assert_allclose(fitted.std**2, ((following - fitted.mean) ** 2).sum(0) / 400)
    np.testing.assert_allclose(fitted.step**2, ((following - current) ** 2).sum(0) / 400)


def test_the_linear_filter_is_least_squares_on_two_means_and_the_action():
    (walk,) = walks(0)
    fitted = Baselines.fit([walk])
    before = np.vstack([walk.mu[:1], walk.mu[:-2]])  # at first the same frame again
    features = np.hstack([walk.mu[:-1], before, walk.actions, np.ones((400, 1))])
    normal = np.linalg.solve(features.T @ features, features.T @ walk.z[1:])
    np.testing.assert_allclose(fitted.weights, normal, atol=1e-9)
    left = walk.z[1:] - features @ normal
    np.testing.assert_allclose(fitted.residual**2, (left**2).mean(0))
    # the noise alone is left, of 0.3 of each scale
    np.testing.assert_allclose(fitted.residual, 0.3 * np.geomspace(0.1, 10, Z), rtol=0.1)


def test_episodes_one_by_one_are_the_least_squares_of_all_rows_at_once():
    """Also where they are shorter than the filter has inputs, and two inputs are one."""
    rng = np.random.default_rng(0)

    def episode(steps):
        mu = rng.normal(size=(steps + 1, Z)) + 3
        mu[:, 1] = mu[:, 0]  # of several filters that are as good, the least
        return Transitions(mu, rng.normal(size=(steps, 3)), mu + rng.normal(size=mu.shape))

    several = [episode(int(steps)) for steps in rng.integers(1, 4, 40)]
    fitted = Baselines.fit(iter(several))
    inputs = np.vstack([one.inputs() for one in several])
    following = np.vstack([one.following for one in several])
    weights, _, rank, _ = np.linalg.lstsq(inputs, following)
    assert rank == inputs.shape[1] - 2
    np.testing.assert_allclose(fitted.weights, weights, atol=1e-9)
    np.testing.assert_allclose(fitted.residual, (following - inputs @ weights).std(0), rtol=1e-9)
    np.testing.assert_allclose(fitted.std, following.std(0))


def test_episodes_are_apart():
    """The first frame of one follows on no frame of another."""
    one, two = walks(0, 5)[0], walks(1, 7)[0]
    np.testing.assert_array_equal(two.inputs()[0, :Z], two.inputs()[0, Z : 2 * Z])
    both = Baselines.fit([one, two])
    following = np.concatenate([one.z[1:], two.z[1:]])
    np.testing.assert_allclose(both.mean, following.mean(0))
    assert len(following) == 12


def test_baselines_are_torch_gaussians_of_standardised_latents():
    fitted, (walk,) = Baselines.fit(walks(0)), walks(1)
    result = fitted.likelihood([np.zeros(400)], [walk])
    x, last, linear = (
        (values - fitted.mean) / fitted.std
        for values in (walk.z[1:], walk.mu[:-1], walk.inputs() @ fitted.weights)
    )
    ones = np.ones(Z)
    assert result["nll_marginal"] == pytest.approx(nats(0 * ones, ones, x))
    assert result["nll_last_mean"] == pytest.approx(nats(last, fitted.step / fitted.std, x))
    assert result["nll_linear"] == pytest.approx(nats(linear, fitted.residual / fitted.std, x))
    assert result["nll_linear"] < result["nll_last_mean"] < result["nll_marginal"]


def test_marginal_on_its_own_data_is_the_entropy_of_a_standard_normal():
    result = Baselines.fit(walks(0)).likelihood([np.zeros(400)], walks(0))
    assert result["nll_marginal"] == pytest.approx(0.5 * np.log(2 * np.pi * np.e))


def test_last_mean_on_its_own_data_by_hand():
    fitted = Baselines.fit(walks(0))
    expected = 0.5 * np.log(2 * np.pi * np.e) + np.log(fitted.step / fitted.std).mean()
    result = fitted.likelihood([np.zeros(400)], walks(0))
    assert result["nll_last_mean"] == pytest.approx(expected)


def test_a_model_that_is_a_baseline_scores_as_it():
    fitted, (walk,) = Baselines.fit(walks(0)), walks(1)
    for key, mean, std in (
        ("nll_marginal", fitted.mean, fitted.std),
        ("nll_last_mean", walk.mu[:-1], fitted.step),
        ("nll_linear", walk.inputs() @ fitted.weights, fitted.residual),
    ):
        mean, std, values = (torch.from_numpy(x) for x in (mean, std, walk.z[1:]))
        nll = -Normal(mean, std).log_prob(values).sum(-1).numpy()
        result = fitted.likelihood([nll], [walk])
        assert result["nll"] == pytest.approx(result[key])


def test_nobody_gains_by_averaging_the_noise_of_what_stands_still():
    """A memory that averages an episode's samples knows what stands still; so do the baselines."""
    rng = np.random.default_rng(0)

    def still(steps=200):
        mu = np.tile(rng.normal(size=Z), (steps + 1, 1))
        return Transitions(mu, np.zeros((steps, 3)), mu + rng.normal(0, 0.5, mu.shape))

    fitted, held_out = Baselines.fit([still() for _ in range(50)]), [still() for _ in range(20)]
    nll = []
    for episode in held_out:
        count = np.arange(1, len(episode.z))[:, None]
        average = np.cumsum(episode.z[:-1], axis=0) / count
        spread = 0.5 * np.sqrt(1 + 1 / count)
        values = (torch.from_numpy(x) for x in (average, spread, episode.z[1:]))
        mean, std, following = values
        nll.append(-Normal(mean, std).log_prob(following).sum(-1).numpy())
    result = fitted.likelihood(nll, held_out)
    assert result["nll_linear"] - result["nll"] < 0.01
    assert result["nll_last_mean"] - result["nll"] < 0.01
    # against the last sample it would gain half of ln 2
    last = np.concatenate([episode.z[1:] - episode.z[:-1] for episode in held_out])
    against_sample = nats(0, np.sqrt((last**2).mean(0)), last) - np.log(fitted.std).mean()
    assert against_sample - result["nll"] == pytest.approx(np.log(2) / 2, abs=0.03)


def test_the_memory_model_counts_nats_as_the_baselines_do():
    """Its mixture of one Gaussian, set to the marginal, scores as the marginal."""
    fitted, (walk,) = Baselines.fit(walks(0)), walks(1)
    mean, logstd = (
        torch.from_numpy(x).expand(400, 1, 1, Z) for x in (fitted.mean, np.log(fitted.std))
    )
    gaussian = mixture.Mixture(torch.zeros_like(mean), mean, logstd)
    nll = mixture.nll(gaussian, torch.from_numpy(walk.z[1:])[:, None])[:, 0].numpy()
    result = fitted.likelihood([nll], [walk])
    assert result["nll"] == pytest.approx(result["nll_marginal"])


def mixture_nll(walk, scale, shift):
    """A three-part mixture around 0.9 mu, carried over into the space scale * z + shift; (N,)."""
    here = torch.from_numpy((walk.mu[:-1] - shift) / scale)
    means = 0.9 * here[..., None] + torch.tensor([-0.2, 0.0, 0.3])
    shape = means.shape
    density = MixtureSameFamily(
        Categorical(torch.tensor([0.2, 0.5, 0.3]).expand(shape)),
        Normal(
            means * torch.from_numpy(scale)[:, None] + torch.from_numpy(shift)[:, None],
            0.4 * torch.from_numpy(scale)[:, None].expand(shape),
        ),
    )
    return -Independent(density, 1).log_prob(torch.from_numpy(walk.z[1:])).numpy()


def test_rescaling_the_latents_changes_nothing():
    rng = np.random.default_rng(2)
    scale, shift = rng.uniform(0.01, 100, Z), rng.normal(0, 50, Z)
    results = []
    for a, b in ((np.ones(Z), np.zeros(Z)), (scale, shift)):
        fit_on, test_on = (
            Transitions(a * walk.mu + b, walk.actions, a * walk.z + b)
            for (walk,) in (walks(0), walks(1))
        )
        nll = mixture_nll(test_on, a, b)
        results.append((Baselines.fit([fit_on]).likelihood([nll], [test_on]), nll.mean()))
    (plain, plain_nll), (rescaled, rescaled_nll) = results
    assert rescaled == pytest.approx(plain, rel=1e-6)
    assert abs(plain_nll - rescaled_nll) > 1  # the numbers as they are would differ


def test_a_latent_that_never_moves_stays_finite():
    (walk,) = walks(0)
    walk.mu[:, 2] = walk.z[:, 2] = 1
    result = Baselines.fit([walk]).likelihood([np.zeros(400)], [walk])
    assert np.isfinite(list(result.values())).all()


def test_likelihoods_that_do_not_line_up_are_refused():
    fitted = Baselines.fit(walks(0))
    with pytest.raises(ValueError, match="nll for"):
        fitted.likelihood([np.zeros((400, 1))], walks(0))
    with pytest.raises(ValueError, match="nll for"):
        fitted.likelihood([np.zeros(399)], walks(0))


def integrate(z, action, state):
    """z moves by the action, and the state counts the calls."""
    return z + action, (0 if state is None else state) + 1


def episodes(steps, n=3, seed=0):
    rng = np.random.default_rng(seed)
    actions = rng.integers(1, 3, (n, steps, 3)).astype(float)
    latents = np.concatenate([np.zeros((n, 1, 3)), actions.cumsum(1)], axis=1)
    return latents, actions


@pytest.mark.parametrize("context", [0, 1, 4, 9])
def test_a_perfect_model_dreams_what_happened(context):
    latents, actions = episodes(10)
    np.testing.assert_array_equal(
        dream(integrate, latents, actions, context), latents[:, context + 1 :]
    )


def test_the_dream_sees_the_context_and_nothing_after_it():
    latents, actions = episodes(10)
    dreamed = dream(integrate, latents, actions, 4)
    changed = latents.copy()
    changed[:, 5:] = -100
    np.testing.assert_array_equal(dream(integrate, changed, actions, 4), dreamed)
    changed[:, 4] = -100
    assert (dream(integrate, changed, actions, 4) != dreamed).all()


def test_the_state_runs_through_context_and_dream():
    def count(z, action, state):
        _, calls = integrate(z, action, state)
        return np.full_like(z, calls), calls

    dreamed = dream(count, *episodes(10), 4)
    assert dreamed[0, :, 0].tolist() == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("context", [-1, 10, 11])
def test_nothing_left_to_dream_is_refused(context):
    with pytest.raises(ValueError, match="context"):
        dream(integrate, *episodes(10), context)


def decode(z):
    """Returns frames as bright as the first latent, uint8 (N, 64, 64, 3)."""
    return np.broadcast_to(z[:, :1, None, None], (len(z), 64, 64, 3)).astype(np.uint8)


def frames_of(latents, context, *horizons):
    """Frames after `context` steps, and so many steps later."""
    seen = [context + h for h in (0, *horizons)]
    return np.stack([decode(episode[seen]) for episode in latents])


def test_open_loop_errors_by_hand():
    latents, actions = episodes(60)
    frames = frames_of(latents, 3, 1, 5, 15, 50)
    dreamed = dream(integrate, latents, actions, 3)
    perfect = open_loop_errors(decode, dreamed, frames)
    assert [perfect[f"open_loop_mse_{h}"] for h in (1, 5, 15, 50)] == [0] * 4
    assert len(perfect) == 8
    for h in (1, 5, 15, 50):
        moved = (latents[:, 3 + h, 0] - latents[:, 3, 0]) / 255
        assert perfect[f"copy_last_mse_{h}"] == pytest.approx((moved**2).mean())
    off_by_five = open_loop_errors(decode, dreamed + 5, frames)
    assert off_by_five["open_loop_mse_15"] == pytest.approx((5 / 255) ** 2)


def test_a_model_that_stands_still_equals_the_copied_frame():
    latents, actions = episodes(20)
    dreamed = dream(lambda z, action, state: (z, state), latents, actions, 2)
    result = open_loop_errors(decode, dreamed, frames_of(latents, 2, 1, 5, 15))
    for h in (1, 5, 15):
        assert result[f"open_loop_mse_{h}"] == result[f"copy_last_mse_{h}"] > 0


def test_horizons_beyond_the_data_have_no_key():
    latents, actions = episodes(18)
    dreamed = dream(integrate, latents, actions, 3)  # 15 steps
    result = open_loop_errors(decode, dreamed, frames_of(latents, 3, 1, 5, 15))
    assert {key.rsplit("_", 1)[1] for key in result} == {"1", "5", "15"}


def test_batches_do_not_change_the_errors(monkeypatch):
    latents, actions = episodes(6, n=5)
    dreamed, frames = dream(integrate, latents, actions, 0) + 3, frames_of(latents, 0, 1, 5)
    whole = open_loop_errors(decode, dreamed, frames)
    monkeypatch.setattr(memory_metrics, "BATCH", 2)
    assert open_loop_errors(decode, dreamed, frames) == whole


def test_frames_that_do_not_line_up_are_refused():
    latents, actions = episodes(6)
    with pytest.raises(ValueError, match=r"need the frames of \[1\]"):
        open_loop_errors(decode, dream(integrate, latents, actions, 2), frames_of(latents, 2, 1, 3))


def test_reward_correlation():
    x = np.random.default_rng(0).normal(size=50)
    y = x + np.random.default_rng(1).normal(size=50)
    by_hand = ((x - x.mean()) * (y - y.mean())).mean() / (x.std() * y.std())
    assert reward_correlation(x, y)["reward_correlation"] == pytest.approx(by_hand)
    assert reward_correlation(2 * x + 1, -x)["reward_correlation"] == pytest.approx(-1)
    assert reward_correlation(np.full(50, 0.1), x) == {"reward_correlation": 0}
