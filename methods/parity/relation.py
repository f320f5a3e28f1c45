"""Relation networks: outputs of easyfsl and CloserLookFewShot."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.parity._episode import scores_of, stored_shape
from methods.relation import RelationNet, RelationSettings

MODULES = ("first", "first_norm", "second", "second_norm", "hidden", "judge")
AUTHORS_MODULES: Mapping[str, tuple[str, ...]] = {
    "easyfsl": ("0.0", "0.1", "1.0", "1.1", "3", "5"),
    "closerlook": ("layer1.C", "layer1.BN", "layer2.C", "layer2.BN", "fc1", "fc2"),
}
"""Form -> the names of our `MODULES` there."""
authors_names(
    RelationNet,
    {
        f"relation_module.{theirs}.{kind}": f"{ours}.{kind}"
        for names in AUTHORS_MODULES.values()
        for ours, theirs in zip(MODULES, names, strict=True)
        for kind in ("weight", "bias", "running_mean", "running_var")
    },
)


def _reproduce(golden: Golden, form: Literal["easyfsl", "closerlook"], output: str) -> Tensor:
    weights = golden.weights("relation_network/weight/")
    first, *_, hidden, _ = AUTHORS_MODULES[form]
    settings = RelationSettings(
        form=form,
        output="logit" if "softmax" in output else "sigmoid",
        width=len(weights[f"relation_module.{first}.bias"]),
        hidden=len(weights[f"relation_module.{hidden}.bias"]),
    )
    method = RelationNet(stored_shape(golden), settings)
    adopt(method, weights)
    return scores_of(golden, method)


@reproduces("relation_network/scores", unless="relation_network_softmax/scores")
def _reproduce_easyfsl(golden: Golden, output: str) -> Tensor:
    return _reproduce(golden, "easyfsl", output)


@reproduces("relation_network/scores", given="relation_network_softmax/scores")
@reproduces("relation_network_softmax/scores")
def _reproduce_closerlook(golden: Golden, output: str) -> Tensor:
    return _reproduce(golden, "closerlook", output)
