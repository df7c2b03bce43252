"""Every package in wm/vision/models has what the registry says that it has."""

from __future__ import annotations

import pytest
import torch

from wm.core.errors import UserError
from wm.core.params import VISION_MODELS
from wm.vision.networks import registry
from wm.vision.training.train import TrainingSettings


@pytest.mark.parametrize("name", VISION_MODELS)
def test_a_models_networks_are_built_from_its_config(name: str) -> None:
    networks = registry.find(name, "networks")
    assert issubclass(networks.Config, registry.VisionConfig)
    encoder, decoder = networks.build(networks.Config(latent_size=5))
    mu, logvar = encoder(torch.rand(2, 3, 64, 64))
    assert mu.shape == logvar.shape == (2, 5)
    assert decoder(mu).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("name", VISION_MODELS)
def test_a_models_learner_has_settings_of_training_and_of_the_networks(name: str) -> None:
    learner = registry.find(name, "learner")
    assert issubclass(learner.Settings, TrainingSettings)
    assert issubclass(learner.Settings, registry.find(name, "networks").Config)
    assert callable(learner.create_learner)


def test_a_model_that_does_not_exist_is_a_user_error() -> None:
    with pytest.raises(UserError, match=f"'gan': not one of {', '.join(VISION_MODELS)}"):
        registry.find("gan", "networks")
