from pathlib import Path
from typing import Any

import pytest
import torch

from wm.core import seeding
from wm.core.errors import UserError
from wm.runtime.checkpoint import Checkpoint
from wm.runtime.torch_serializer import TorchSerializer
from wm.training import loop


class Killed(BaseException):
    pass


class Regression:
    """A learner whose steps depend on batch, noise and Adam's state."""

    def __init__(self) -> None:
        self.weight = torch.zeros(3, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.weight], lr=0.05)

    def step(self, batch: torch.Tensor, noise: torch.Generator) -> dict[str, torch.Tensor]:
        target = batch @ torch.tensor([1.0, -2.0, 3.0]) + 0.01 * torch.randn(8, generator=noise)
        loss = (batch @ self.weight - target).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def state_dict(self) -> dict[str, Any]:
        return {"weight": self.weight.detach(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weight.data.copy_(state["weight"])
        self.optimizer.load_state_dict(state["optimizer"])


def batch(step: int) -> torch.Tensor:
    return torch.from_numpy(seeding.generator(7, "test", "batch", step).normal(size=(8, 3))).float()


def run(learner: Regression, kill_at: int | None = None, steps: int = 200) -> list:
    def killing_batch(step: int) -> torch.Tensor:
        if step == kill_at:
            raise Killed
        return batch(step)

    def validate() -> dict[str, float]:
        return {"weight_sum": float(learner.weight.detach().sum())}

    with Checkpoint("stage", {}, [], TorchSerializer()) as checkpoint:
        rows = loop.train(
            learner,
            killing_batch,
            validate,
            steps=steps,
            validate_every=30,
            seed=7,
            checkpoint=checkpoint,
            stage="regression",
        )
    return rows


@pytest.fixture(autouse=True)
def in_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def test_learns_and_records_the_curve() -> None:
    learner = Regression()
    rows = run(learner)
    assert [row["step"] for row in rows] == [30, 60, 90, 120, 150, 180, 200]
    assert rows[-1]["loss"] < 0.01 * rows[0]["loss"]
    assert rows[-1]["held_out_weight_sum"] == float(learner.weight.detach().sum())


def test_no_steps_leave_the_learner_as_it_was_made() -> None:
    learner, fresh = Regression(), Regression()
    assert run(learner, steps=0) == []
    assert torch.equal(learner.weight, fresh.weight)


@pytest.mark.parametrize("kill_at", [1, 29, 30, 31, 117, 199])
def test_killed_and_resumed_is_bitwise_the_same(
    kill_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Regression()
    expected = run(whole)
    monkeypatch.setattr("wm.runtime.checkpoint.SAVE_EVERY", 0.0)
    with pytest.raises(Killed):
        run(Regression(), kill_at)
    resumed = Regression()
    seen = []
    original = resumed.step
    resumed.step = lambda batch, noise: (seen.append(1), original(batch, noise))[1]  # type: ignore[method-assign]
    assert run(resumed) == expected
    assert torch.equal(resumed.weight, whole.weight)
    assert len(seen) == 200 - kill_at  # nothing that was saved is done again


def test_a_loss_that_is_not_finite_stops_with_its_name() -> None:
    learner = Regression()
    learner.weight.data.fill_(float("inf"))
    with pytest.raises(UserError, match=r"regression: 'loss' is .* at step 0"):
        run(learner)


def test_a_held_out_number_that_is_not_finite_stops_with_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner = Regression()
    monkeypatch.setattr(loop, "_sums", lambda state: {})
    step = learner.step

    def burst(batch: torch.Tensor, noise: torch.Generator) -> dict[str, torch.Tensor]:
        logs = step(batch, noise)
        learner.weight.data.fill_(float("nan"))
        return logs

    learner.step = burst  # type: ignore[method-assign]
    with pytest.raises(UserError, match="regression: 'held_out_weight_sum' is nan at step 0"):
        run(learner, steps=1)


def test_an_update_that_bursts_is_never_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the loss before it was finite; without it the run goes on from the step before."""
    monkeypatch.setattr("wm.runtime.checkpoint.SAVE_EVERY", 0.0)
    expected = run(Regression(), steps=20)
    learner = Regression()
    step, steps = learner.step, iter(range(20))

    def burst(batch: torch.Tensor, noise: torch.Generator) -> dict[str, torch.Tensor]:
        logs = step(batch, noise)
        if next(steps) == 7:
            learner.optimizer.state[learner.weight]["exp_avg"].fill_(float("inf"))
        return logs

    learner.step = burst  # type: ignore[method-assign]
    with pytest.raises(
        UserError, match=r"regression: 'optimizer\.state.*exp_avg' is inf at step 7"
    ):
        run(learner, steps=20)
    assert run(Regression(), steps=20) == expected
