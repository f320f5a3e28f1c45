"""Relation networks: outputs of easyfsl and CloserLookFewShot."""

from typing import Literal

from torch import Tensor

from bench.reference import Golden, adopt, reproduces
from methods.parity._episode import scores_of, stored_shape
from methods.relation import AUTHORS_MODULES, RelationNet, RelationSettings


def _reproduce(golden: Golden, form: Literal["easyfsl", "closerlook"], output: str) -> Tensor:
    weights, names = golden.weights("relation_network/weight/"), AUTHORS_MODULES[form]
    settings = RelationSettings(
        form=form,
        output="logit" if "softmax" in output else "sigmoid",
        width=len(weights[f"relation_module.{names['first']}.bias"]),
        hidden=len(weights[f"relation_module.{names['hidden']}.bias"]),
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
