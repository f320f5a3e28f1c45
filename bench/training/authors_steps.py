"""The training steps of a reference file, retraced with our method.

The method is built with the settings that the file states, loads the authors' weights, and trains
on the three episodes of the file with the learner and the optimiser of every other training.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bench.method import ConfiguredMethod, FeatureShape, Method
from bench.reference import Golden, adopt, names_of
from bench.training.learner import Learner, optimiser_of, set_learning_rates
from bench.training.stream import EpisodeBatch
from bench.weights.recipe import TrainingRecipe
from methods.parity.training import AUTHORS_TRAINING, AuthorsTraining

EPISODES = ("", "step1/", "step2/")
"""Prefix of each episode's keys."""
INPUTS = ("support", "query")


@dataclass
class RetracedSteps:
    """The results of our three steps, under the keys of the reference file."""

    terms: list[dict[str, float]] = field(default_factory=list)
    """Weighted loss terms of each episode, by our names."""
    gradients: dict[str, Tensor] = field(default_factory=dict)
    """Gradients of the videos in every episode, and of the parameters in the first."""
    changes: dict[str, Tensor] = field(default_factory=dict)
    """Changes of parameters and buffers over all steps: ``after_change/NAME``."""


def retrace(golden: Golden, configured: ConfiguredMethod, dtype: torch.dtype) -> RetracedSteps:
    """Take the steps of a reference file, whose settings override those of the method."""
    authors = AUTHORS_TRAINING[configured.cls.name]
    configured = replace(
        configured, settings=replace(configured.settings, **authors.settings(golden))
    )
    shape = FeatureShape(*_episode(golden, authors, "", dtype).maps.shape[1:])
    method = adopt(configured.build(shape, 0), golden.weights("weight/"))
    names = authors_names_of(method)
    recipe = recipe_of(golden, names, authors.sums_over_queries)
    text = golden.tensor("text_train").to(dtype) if method.needs_text else None
    learner = Learner(method, None, 0, recipe, text).to(dtype).train()
    if text is not None:
        text.requires_grad_()  # It is not trained, but its gradient is compared too.
    without_dropout(learner)
    optimiser = optimiser_of(learner, recipe) if method.learns else None
    steps = RetracedSteps()
    for prefix in EPISODES:
        episode = _episode(golden, authors, prefix, dtype)
        learner.zero_grad()
        terms = learner(episode.maps, episode.batch)
        torch.stack(list(terms.values())).sum().backward()
        steps.terms.append({name: float(term.detach()) for name, term in terms.items()})
        for key, videos in episode.inputs.items():
            steps.gradients[f"{prefix}grad/{key}"] = _gradient(videos)
        if text is not None:
            steps.gradients.setdefault("grad/text_train", _gradient(text))
        if prefix == "":
            parameters = dict(method.named_parameters())
            for theirs, ours in names.items():
                if ours in parameters:  # and no buffer
                    gradient = _gradient(parameters[ours])
                    gradient = gradient.reshape(golden.tensor(f"weight/{theirs}").shape)
                    steps.gradients |= _with_summaries("grad", theirs, gradient)
        if optimiser is not None:
            set_learning_rates(optimiser, 1.0)
            optimiser.step()
    state = method.state_dict()
    for theirs, ours in names.items():
        start = golden.tensor(f"weight/{theirs}").double()
        change = state[ours].double().reshape(start.shape) - start
        steps.changes |= _with_summaries("after_change", theirs, change)
    return steps


def authors_names_of(method: Method) -> dict[str, str]:
    """Authors' name -> ours, for every parameter and buffer of this method."""
    names = dict(names_of(method))
    # The declared names leave out the batch counts of batch norms.
    mean, count = "running_mean", "num_batches_tracked"
    names |= {one.replace(mean, count): ours.replace(mean, count) for one, ours in names.items()}
    own = method.state_dict().keys()
    return {theirs: ours for theirs, ours in names.items() if ours in own}


def recipe_of(golden: Golden, names: Mapping[str, str], sum_over_queries: bool) -> TrainingRecipe:
    """Return the optimiser of a reference file as a training recipe."""
    spared = [str(name) for name in np.atleast_1d(golden.arrays.get("without_weight_decay", []))]
    theirs = str(golden.arrays["optimizer"]).casefold()
    return TrainingRecipe(
        name="reference file",
        optimiser="adam" if theirs.startswith("adam") else "sgd",
        learning_rate=golden.number("lr"),
        backbone_learning_rate=0.0,
        momentum=golden.number("momentum") if "momentum" in golden else 0.0,
        nesterov=bool(golden.arrays.get("nesterov", False)),
        weight_decay=golden.number("weight_decay"),
        without_weight_decay=tuple(f"method.{names[name]}" for name in spared),
        sum_over_queries=sum_over_queries,
        steps=len(EPISODES),
        episodes_per_step=1,
        episodes_at_once=1,
        queries=1,
        protocol="standard",
        validate_every=len(EPISODES),
        validation_episodes=1,
    )


def without_dropout(module: nn.Module) -> None:
    """Turn off dropout in training mode, as the reference files were made."""
    for one in module.modules():
        if isinstance(one, nn.modules.dropout._DropoutNd):
            one.p = 0.0


class _Episode(NamedTuple):
    """One episode, or several that share a forward pass, as stored and as a learner takes them."""

    inputs: Mapping[str, Tensor]
    """"support" and "query" as stored, leaves of the graph."""
    maps: Tensor
    """(videos, C, T, H, W) in the order of ``batch.videos``."""
    batch: EpisodeBatch


def _episode(golden: Golden, authors: AuthorsTraining, prefix: str, dtype: torch.dtype) -> _Episode:
    """Read an episode; its support is sorted by class, in stored order within a class."""
    inputs = {key: golden.tensor(prefix + key).to(dtype).requires_grad_() for key in INPUTS}
    support_labels, query_labels = (
        torch.atleast_2d(golden.tensor(f"{prefix}{key}_labels")) for key in INPUTS
    )
    episodes, supports = support_labels.shape
    way, video = int(support_labels.max()) + 1, inputs["support"].shape[-len(authors.axes) :]
    by_class = support_labels.argsort(dim=1, stable=True)
    rows = by_class + supports * torch.arange(episodes)[:, None]
    support = inputs["support"].reshape(-1, *video)[rows.flatten()]
    query = inputs["query"].reshape(-1, *video)
    known = f"{prefix}way_classes" in golden
    classes = golden.tensor(f"{prefix}way_classes") if known else torch.arange(way)
    batch = EpisodeBatch(
        torch.arange(len(support)).reshape(episodes, way, -1),
        torch.arange(len(query)).reshape(episodes, -1),
        query_labels,
        torch.atleast_2d(classes),
    )
    return _Episode(inputs, _as_maps(torch.cat([support, query]), authors.axes), batch)


def _as_maps(videos: Tensor, axes: str) -> Tensor:
    """(videos, stored axes) -> (videos, C, T, H, W); an axis that is not stored has length 1."""
    size = dict(zip(axes, videos.shape[1:], strict=True))
    order = [1 + axes.index(axis) for axis in "CTHW" if axis in axes]
    return videos.permute(0, *order).reshape(-1, *(size.get(axis, 1) for axis in "CTHW"))


def _gradient(tensor: Tensor) -> Tensor:
    """Return the gradient; zeros where the loss does not depend on the tensor."""
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad.clone()


def _with_summaries(prefix: str, name: str, values: Tensor) -> dict[str, Tensor]:
    """Values, and the summaries that a file may hold instead of a large tensor."""
    summaries = {f"{prefix}/{name}": values, f"{prefix}_norm/{name}": values.norm()}
    if values.ndim > 1:
        summaries |= {f"{prefix}_sum{dim}/{name}": values.sum(dim=dim) for dim in (0, 1)}
    return summaries
