"""Matching networks: outputs of easyfsl and CloserLookFewShot."""

from typing import Literal

from torch import Tensor

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.matching_networks import (
    FullContextMatchingNetworks,
    FullContextSettings,
)
from methods.parity._episode import encode_stored, stored_shape

MODULES = {
    "G_encoder": "reader",
    "support_features_encoder": "reader",
    "FCE.lstmcell": "cell",
    "query_features_encoding_cell": "cell",
}
"""Names of our LSTMs in CloserLookFewShot and in easyfsl."""
PARAMETERS = {
    "reader": [
        f"{kind}_l0{way}"
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        for way in ("", "_reverse")
    ],
    "cell": ["weight_ih", "weight_hh", "bias_ih", "bias_hh"],
}

authors_names(
    FullContextMatchingNetworks,
    {
        f"{theirs}.{parameter}": f"{ours}.{parameter}"
        for theirs, ours in MODULES.items()
        for parameter in PARAMETERS[ours]
    },
)


def _authors_method(
    golden: Golden, code: Literal["closerlook", "easyfsl"]
) -> FullContextMatchingNetworks:
    settings = FullContextSettings(similarity=code, reading="given")
    method = FullContextMatchingNetworks(stored_shape(golden), settings)
    adopt(method, golden.weights("matching_networks/weight/"))
    return method


@reproduces("matching_networks/scores", unless="matching_networks/support_embedding")
def _reproduce_closerlook(golden: Golden, _output: str) -> Tensor:
    method = _authors_method(golden, "closerlook")
    support, query = encode_stored(golden, method)
    return method.score(method.adapt(support), query)[0]


@reproduces(
    "matching_networks/scores",
    "matching_networks/support_embedding",
    "matching_networks/query_embedding",
    given="matching_networks/support_embedding",
)
def _reproduce_easyfsl(golden: Golden, output: str) -> Tensor:
    method = _authors_method(golden, "easyfsl")
    query = encode_stored(golden, method).query
    # Here the support set is read in stored order, not class by class.
    in_context = method.read(golden.tensor("support")[None])
    by_class = in_context[:, golden.class_order].reshape(1, golden.way, golden.shot, -1)
    return {
        "support_embedding": in_context[0],
        "query_embedding": method.read_for_queries(in_context, query.vectors)[0],
        "scores": method.score(by_class, query)[0],
    }[output.removeprefix("matching_networks/")]
