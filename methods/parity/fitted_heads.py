"""Fitted heads: outputs of FSL-Video and CloserLookFewShot."""

from collections.abc import Mapping

from torch import Tensor

from bench.reference import Golden, reproduces
from methods.fitted_heads import (
    Baseline,
    BaselinePlus,
    BaselinePlusPlus,
    CosineSettings,
    FittedHead,
    Head,
)
from methods.parity._episode import as_maps, encode_episode, feature_shape


def _scores_as_stored(
    golden: Golden, method: FittedHead, start: Head, videos: Mapping[str, Tensor], output: str
) -> Tensor:
    """Scores before or after the authors' steps, which go through the support set as stored."""
    support, query = (method.encode(videos[key]).vectors[None] for key in ("support", "query"))
    name, which = output.split("/")
    head = start
    if which == "scores":
        labels = golden.tensor("support_labels")[None]
        head = method.fit(start, support, labels, golden.tensor(f"{name}/permutations"))
    return method.logits(head, query)[0]


@reproduces("baseline_plus_plus/initial_scores", "baseline_plus_plus/scores", tolerance=1e-3)
def _reproduce_cosine_head(golden: Golden, output: str) -> Tensor:
    videos = {key: as_maps(golden.tensor(key)) for key in ("support", "query")}
    settings = CosineSettings(scale=golden.number("baseline_plus_plus/scale"))
    method = BaselinePlusPlus(feature_shape(videos["query"]), settings)
    weights = golden.weights("baseline_plus_plus/weight/initial.L.weight_")
    start = (weights["g"][None], weights["v"][None])
    return _scores_as_stored(golden, method, start, videos, output)


@reproduces("baseline/initial_scores", "baseline/scores", tolerance=1e-3)
def _reproduce_baseline(golden: Golden, output: str) -> Tensor:
    videos = {key: as_maps(golden.tensor(key)) for key in ("support", "query")}
    weights = golden.weights("baseline/weight/initial.")
    start = (weights["weight"][None], weights["bias"][None, None])
    return _scores_as_stored(
        golden, Baseline(feature_shape(videos["query"])), start, videos, output
    )


@reproduces("baseline_plus/initial_scores", "baseline_plus/scores", tolerance=1e-3)
def _reproduce_baseline_plus(golden: Golden, output: str) -> Tensor:
    videos = {key: as_maps(golden.tensor(key)) for key in ("support", "query")}
    method = BaselinePlus(feature_shape(videos["query"]))
    start = method.start(encode_episode(method, golden, **videos).support.vectors)
    return _scores_as_stored(golden, method, start, videos, output)
