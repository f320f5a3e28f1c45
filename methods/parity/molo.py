"""MoLo: outputs of alibaba-mmai-research/MoLo."""

from typing import cast

import torch
from torch import Tensor, nn

from bench.reference import Golden, adopt, reproduces
from methods._video_token_layers import MoLoSettings
from methods.molo import MoLo, summary
from methods.parity._episode import Encoded, encode_episode, feature_shape


def _authors_method(golden: Golden) -> MoLo:
    weights = golden.weights("molo/weight/")
    settings = MoLoSettings(
        motion_weight=golden.number("motion_weight"),
        width=len(weights["temporal_atte_before.layers.0.1.net.0.bias"]),
        position_a=golden.number("position_a"),
        position_b=golden.number("position_b"),
        classes=len(weights["classification_layer.bias"]),
    )
    method = MoLo(feature_shape(_maps(golden, "support")), settings)
    adopt(method, weights)
    return method


def _maps(golden: Golden, key: str) -> Tensor:
    """Stored (videos, T, C, H, W) -> (videos, C, T, H, W)."""
    return golden.tensor(key).transpose(1, 2)


def _authors_episode(golden: Golden) -> tuple[MoLo, Encoded]:
    method = _authors_method(golden)
    support, query = encode_episode(
        method, golden, _maps(golden, "support"), _maps(golden, "query")
    )
    return method, Encoded(method.adapt(support), query)


@reproduces("molo/logits")
def _reproduce_logits(golden: Golden, _: str) -> Tensor:
    method, (state, query) = _authors_episode(golden)
    return method.score(state, query)[0]


@reproduces(
    "molo/logits_frame",
    "molo/logits_s2q",
    "molo/logits_q2s",
    "molo/logits_s2q_motion",
    "molo/logits_q2s_motion",
)
def _reproduce_branch(golden: Golden, output: str) -> Tensor:
    method, episode = _authors_episode(golden)
    branch = method.compare(*episode)[output.endswith("_motion")]
    parts = {
        "frame": branch.match,
        "s2q": branch.support_to_query,
        "q2s": branch.query_to_support,
    }
    return parts[output.split("_")[1]][0]


@reproduces("molo/class_logits")
def _reproduce_class_logits(golden: Golden, _: str) -> Tensor:
    method = _authors_method(golden)
    videos = method.encode(torch.cat([_maps(golden, "support"), _maps(golden, "query")]))
    logits: Tensor = cast(nn.Linear, method.head)(summary(videos))
    return logits
