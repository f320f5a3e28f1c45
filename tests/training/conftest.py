"""A training small enough for every test: few episodes, few videos, no backbone in training."""

from pathlib import Path

import pytest

RECIPE = """
base = "default"

[default]
steps = 4
episodes_per_step = 2
episodes_at_once = 1
warm_up_steps = 1
validate_every = 2
validation_episodes = 6
"""


@pytest.fixture(scope="session")
def small_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe file of four steps, validated after every second."""
    path = tmp_path_factory.mktemp("recipes") / "small.toml"
    path.write_text(RECIPE)
    return path
