"""The training steps of a reference file, retraced with our method.

The method is built from the facts in the file, is given the authors' weights, and trains on the
file's
three episodes through the learner and the optimiser that every training here uses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bench.method import ConfiguredMethod, FeatureShape, Method
from bench.reference import Golden, adopt, names_of
from bench.runs.recipe import TrainingRecipe
from bench.training.learner import Learner, optimiser_of, set_learning_rates
from bench.training.stream import EpisodeBatch
from methods.parity.training import AUTHORS_TRAINING, AuthorsTraining

EPISODES = ("", "step1/", "step2/")
"""Prefix of each episode's keys."""
INPUTS = ("support", "query")


@dataclass
class RetracedSteps:
    """What our three steps gave, under the keys of the reference file."""

    terms: list[dict[str, float]] = field(default_factory=list)
    """Loss terms of each episode, by our names and with their factors."""
    gradients: dict[str, Tensor] = field(default_factory=dict)
    """Of the videos of every episode, and of the parameters in the first."""
    changes: dict[str, Tensor] = field(default_factory=dict)
    """Of parameters and buffers, from the start to the end: ``after_change/NAME``."""


def retrace(golden: Golden, entry: ConfiguredMethod, dtype: torch.dtype) -> RetracedSteps:
    """Take the steps of a reference file.

    Args:
        golden: the file.
        entry: the method or variant that the file is for; settings that the file states are set.
        dtype: of weights and videos.
    """
    authors = AUTHORS_TRAINING[entry.cls.name]
    entry = replace(entry, settings=replace(entry.settings, **authors.settings(golden)))
    shape = FeatureShape(*_episode(golden, authors, "", dtype).maps.shape[1:])
    method = adopt(entry.build(shape, 0), golden.weights("weight/"))
    names = authors_names_of(method)
    recipe = recipe_of(golden, names, authors.sums_over_queries)
    text = golden.tensor("text_train").to(dtype) if method.needs_text else None
    learner = Learner(method, None, 0, recipe, text).to(dtype).train()
    if text is not None:
        text.requires_grad_()  # Nothing trains it; its gradient is one more thing to compare.
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
    """Authors' name -> ours, of all that this method holds, counts of batch norms included."""
    names = names_of(method)
    # The declared names leave out how many batches a batch norm has seen.
    names = {**names, **{_count(theirs): _count(ours) for theirs, ours in names.items()}}
    held = method.state_dict().keys()
    return {theirs: ours for theirs, ours in names.items() if ours in held}


def recipe_of(golden: Golden, names: Mapping[str, str], sum_over_queries: bool) -> TrainingRecipe:
    """Return the optimiser of a file as a recipe of this project states it."""
    spared = [str(name) for name in np.atleast_1d(golden.arrays.get("without_weight_decay", []))]
    return TrainingRecipe(
        name="reference file",
        optimiser="adam"
        if str(golden.arrays["optimizer"]).casefold().startswith("adam")
        else "sgd",
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
    """Turn dropout off although the module is in training mode: the files were made that way."""
    for one in module.modules():
        if isinstance(one, nn.modules.dropout._DropoutNd):
            one.p = 0.0


class _Episode(NamedTuple):
    """An episode, or several that share a pass, as stored and as a learner takes it."""

    inputs: Mapping[str, Tensor]
    """"support" and "query" as stored, which gradients flow into."""
    maps: Tensor
    """(videos, C, T, H, W) in the order of ``batch.videos``."""
    batch: EpisodeBatch


def _episode(golden: Golden, authors: AuthorsTraining, prefix: str, dtype: torch.dtype) -> _Episode:
    """Read an episode; supports are put class by class, in stored order within a class."""
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
    """(videos, the stored axes) -> (videos, C, T, H, W), 1 for an axis that is not stored."""
    size = dict(zip(axes, videos.shape[1:], strict=True))
    order = [1 + axes.index(axis) for axis in "CTHW" if axis in axes]
    return videos.permute(0, *order).reshape(-1, *(size.get(axis, 1) for axis in "CTHW"))


def _gradient(tensor: Tensor) -> Tensor:
    """The gradient, zeros where no loss reaches the tensor."""
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad.clone()


def _with_summaries(prefix: str, name: str, values: Tensor) -> dict[str, Tensor]:
    """Values as a file holds them: whole, or as the summaries that large ones are stored as."""
    found = {f"{prefix}/{name}": values, f"{prefix}_norm/{name}": values.norm()}
    if values.ndim > 1:
        found |= {f"{prefix}_sum{dim}/{name}": values.sum(dim=dim) for dim in (0, 1)}
    return found


def _count(name: str) -> str:
    """The name of a batch norm's count, if this is that of its mean."""
    return name.replace("running_mean", "num_batches_tracked")
