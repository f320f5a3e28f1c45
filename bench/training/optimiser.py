"""The optimiser that a recipe asks for."""

from fnmatch import fnmatchcase

import torch
from torch import nn

from bench.training.learner import Learner
from bench.training.recipe import TrainingRecipe


def optimiser_of(learner: Learner, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over everything that trains.

    Parameters are grouped by their learning rate (``peak``, which the schedule scales at each
    step) and by whether weight decay spares them.
    """
    kinds = {
        f"{place}.{name}": type(layer).__name__
        for place, layer in learner.named_modules()
        for name, _ in layer.named_parameters(recurse=False)
    }
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        known_as = name, kinds.get(name, "")
        spared = any(fnmatchcase(one, p) for one in known_as for p in recipe.without_weight_decay)
        groups.setdefault((name.startswith("backbone."), spared), []).append(parameter)
    options = [
        {
            "params": parameters,
            "peak": recipe.backbone_learning_rate if of_backbone else recipe.learning_rate,
            "weight_decay": 0.0 if spared else recipe.weight_decay,
        }
        for (of_backbone, spared), parameters in sorted(groups.items())
    ]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(options, lr=0.0, momentum=recipe.momentum, nesterov=recipe.nesterov)
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return kind(options, lr=0.0)


def set_learning_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to its peak times a factor."""
    for group in optimiser.param_groups:
        group["lr"] = factor * group["peak"]
