"""MoLo: outputs of alibaba-mmai-research/MoLo."""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.molo import MoLo, MoLoSettings, summary
from methods.parity._episode import Encoded, encode_episode, feature_shape


def _branch_names(branch: str, suffix: str) -> dict[str, str]:
    """Authors' names of a branch's parameters -> ours."""
    layer = f"temporal_atte_before{suffix}.layers.0"
    parts = {
        f"{layer}.0.norm": "attention.norm",
        f"{layer}.0.fn.to_out.0": "attention.project_out",
        f"{layer}.1.net.0": "feed_forward.0",
        f"{layer}.1.net.3": "feed_forward.3",
    }
    return {
        f"class_token{suffix}": f"{branch}.video_token",
        f"scale{suffix}": f"{branch}.scale",
        f"{layer}.0.fn.to_qkv.weight": f"{branch}.attention.project_in.weight",
    } | _with_biases({theirs: f"{branch}.{ours}" for theirs, ours in parts.items()})


def _with_biases(layers: Mapping[str, str]) -> dict[str, str]:
    """Names of layers -> names of their weights and biases."""
    return {
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in layers.items()
        for kind in ("weight", "bias")
    }


authors_names(
    MoLo,
    {
        **_branch_names("frames", ""),
        **_branch_names("motion", "_motion"),
        **_with_biases(
            {
                "motion_reduce": "motion.reduce",
                "motion_conv": "motion.next",
                "motion_up": "motion.expand",
                "classification_layer": "head",
            }
        ),
    },
)


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
