"""MASTAF: outputs of lxhit/STAF, with the ablations that its authors ran."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from bench.method import FeatureShape
from bench.reference import Golden, adopt, authors_names, reproduces
from methods.mastaf import Mastaf, MastafSettings, position_entropy
from methods.parity._episode import Encoded, encode_episode, feature_shape

ATTENTION = {
    "cam.conv1.conv.weight": "learner.squeeze.weight",
    "cam.conv1.conv.bias": "learner.squeeze.bias",
    "cam.conv1.bn.weight": "learner.norm.weight",
    "cam.conv1.bn.bias": "learner.norm.bias",
    "cam.conv1.bn.running_mean": "learner.norm.running_mean",
    "cam.conv1.bn.running_var": "learner.norm.running_var",
    "cam.conv2.weight": "learner.expand.weight",
    "cam.conv2.bias": "learner.expand.bias",
}
"""Names of the attention's parameters, in CAN too."""
authors_names(
    Mastaf,
    ATTENTION | {"classifier.weight": "head.weight", "classifier.bias": "head.bias"},
)

AUTHORS_ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "mastaf": {},
    "nores": {"residual": False},
    "noml_mean": {"kernel": "mean"},
    "neighbor": {"branches": "none"},
}
"""Name in the reference files -> settings that differ."""
AUTHORS_NUMBERS = ("alpha", "lamda", "scale", "temperature")
"""Settings that the reference files hold."""


def sizes_of(shape: FeatureShape, weights: Mapping[str, Tensor], head: str) -> dict[str, Any]:
    """Settings that follow from stored features and weights; ``head`` is the name of the head."""
    return {
        "positions": shape.frames * shape.height * shape.width,
        "hidden": len(weights["cam.conv1.conv.bias"]),
        "classes": len(weights[f"{head}.bias"]),
    }


def _authors_method(golden: Golden, ablation: str, **changed: Any) -> Mastaf:
    weights, shape = golden.weights("weight/"), feature_shape(golden.tensor("support"))
    given: dict[str, Any] = {name: golden.number(name) for name in AUTHORS_NUMBERS}
    given |= {**sizes_of(shape, weights, "classifier"), **AUTHORS_ABLATIONS[ablation], **changed}
    method = Mastaf(shape, MastafSettings(batch_norm="reference", **given))
    adopt(method, weights)
    return method


def _authors_episode(golden: Golden, method: Mastaf) -> Encoded:
    return encode_episode(method, golden, golden.tensor("support"), golden.tensor("query"))


def loss_as_stored(method: Mastaf, golden: Golden, episode: Encoded, output: str) -> Tensor:
    """Return a loss of a reference file, where the weights are in the sum alone.

    There, queries of one class may belong to several training classes.
    """
    labels, classes = (golden.tensor(f"query_{key}labels")[None] for key in ("", "global_"))
    prototypes, query = method.adapt(episode.support), episode.query
    branches = method.compare(prototypes, query)
    nearest = position_entropy(method.local_scores(branches, prototypes, query), labels)
    named = position_entropy(method.global_logits(branches[0], query, labels), classes)
    own = method.settings
    total = own.global_weight * named + own.lamda * nearest
    return {"loss": total, "loss_global": named, "loss_nn": nearest}[output]


def position_outputs(method: Mastaf, golden: Golden, episode: Encoded, output: str) -> Tensor:
    """Return what a reference file holds of single positions: (queries, classes, grid)."""
    prototypes, query = method.adapt(episode.support), episode.query
    branches = method.compare(prototypes, query)
    if output == "local_scores":
        values = method.local_scores(branches, prototypes, query)
    else:
        values = method.global_logits(branches[0], query, golden.tensor("query_labels")[None])
    return values.reshape(*values.shape[1:3], *golden.tensor("query").shape[2:])


@reproduces("mastaf/scores", "nores/scores", "noml_mean/scores", "neighbor/scores")
@reproduces("mastaf/self_scores", "nores/self_scores", "noml_mean/self_scores")
@reproduces("mastaf/cross_scores", "nores/cross_scores", "noml_mean/cross_scores")
def _reproduce_scores(golden: Golden, output: str) -> Tensor:
    ablation, which = output.split("/")
    branch = which.removesuffix("scores").removesuffix("_")
    method = _authors_method(golden, ablation, **({"branches": branch} if branch else {}))
    support, query = _authors_episode(golden, method)
    return method.score(method.adapt(support), query)[0]


@reproduces("mastaf/local_scores", "nores/local_scores", "noml_mean/local_scores")
@reproduces("mastaf/global_logits", "nores/global_logits", "noml_mean/global_logits")
def _reproduce_positions(golden: Golden, output: str) -> Tensor:
    ablation, which = output.split("/")
    method = _authors_method(golden, ablation)
    return position_outputs(method, golden, _authors_episode(golden, method), which)


@reproduces("mastaf/loss*", "nores/loss*", "noml_mean/loss*")
def _reproduce_loss(golden: Golden, output: str) -> Tensor:
    ablation, which = output.split("/")
    method = _authors_method(golden, ablation)
    return loss_as_stored(method, golden, _authors_episode(golden, method), which)
