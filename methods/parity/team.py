"""TEAM: outputs of leesb7426/TEAM."""

from typing import Any

import torch
from torch import Tensor

from bench.method import LabelledEpisodes
from bench.reference import Golden, adopt, authors_names, reproduces
from methods.parity._episode import Encoded, encode_stored, stored_shape
from methods.team import TEAM, TEAMSettings

authors_names(
    TEAM,
    {
        "DPM.AP": "tokens",
        "DPM.ln.weight": "norm.weight",
        "DPM.ln.bias": "norm.bias",
        "DPM.mlp.inp_fc.weight": "mlp.0.weight",
        "DPM.mlp.inp_fc.bias": "mlp.0.bias",
        "DPM.mlp.out_fc.weight": "mlp.2.weight",
        "DPM.mlp.out_fc.bias": "mlp.2.bias",
    },
)


def _authors_episode(golden: Golden, **changed: Any) -> tuple[TEAM, Encoded]:
    """The method with the authors' weights, and the episode as it encodes it."""
    weights = golden.weights("team/weight/")
    settings = TEAMSettings(
        tokens=weights["DPM.AP"].shape[-2], position_scale=golden.number("pe_scale"), **changed
    )
    method = TEAM(stored_shape(golden), settings)
    adopt(method, weights)
    return method, encode_stored(golden, method)


@reproduces("team/logits_pos", "team/logits_neg")
def _reproduce_distance(golden: Golden, output: str) -> Tensor:
    method, (support, query) = _authors_episode(golden)
    positive, negative = method.scores(method.adapt(support), query)
    return positive[0] if output.endswith("pos") else negative[0]


@reproduces("team/logits", "team_pos/logits", "team_neg/logits", "team_without_adaptation/logits")
def _reproduce_logits(golden: Golden, output: str) -> Tensor:
    variant = output.split("/", maxsplit=1)[0].replace("_", "-")
    changed = TEAM.variants.get(variant, {})
    method, (support, query) = _authors_episode(golden, **changed)
    return method.score(method.adapt(support), query)[0]


@reproduces("team/loss")
def _reproduce_loss(golden: Golden, _: str) -> Tensor:
    method, (support, query) = _authors_episode(golden)
    labels = golden.tensor("query_labels")[None]
    classes = torch.arange(golden.way)[None]
    terms = method.loss(LabelledEpisodes(support, query, labels, classes))
    return torch.stack(list(terms.values())).sum()
