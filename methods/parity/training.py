"""Training steps of authors' code beside the losses here (`fvbench parity --training`).

Where authors sum the cross-entropy over queries, the loss here is a mean: the same up to the number
of queries, which `sums_over_queries` states and a recipe's learning rate accounts for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.reference import Golden


@dataclass(frozen=True)
class AuthorsTraining:
    """Facts about a method that a reference file of training steps depends on."""

    axes: str
    """Axes of a stored video, of C, T, H and W."""
    settings: Callable[[Golden], dict[str, Any]]
    """The method's settings by the file's facts."""
    terms: Mapping[str, tuple[str, str]]
    """The authors' loss term -> the term here that it is part of, and the fact that is its factor
    (none: 1)."""
    sums_over_queries: bool = False


def _mastaf(
    golden: Golden, scale_of_losses: str = "lamda", head: str = "classifier"
) -> dict[str, Any]:
    weights = golden.weights("weight/")
    return {
        "scale": golden.number("scale"),
        "temperature": golden.number("temperature"),
        "lamda": golden.number(scale_of_losses),
        "positions": weights["cam.conv1.conv.weight"].shape[1],
        "hidden": len(weights["cam.conv1.conv.bias"]),
        "classes": len(weights[f"{head}.bias"]),
        "batch_norm": "reference",
    }


def _can(golden: Golden) -> dict[str, Any]:
    return _mastaf(golden, "nn_weight", "clasifier") | {
        "global_weight": golden.number("global_weight")
    }


def _trx(golden: Golden) -> dict[str, Any]:
    cardinalities = tuple(golden.tensor("cardinalities").tolist())
    return {"cardinalities": cardinalities, "width": int(golden.number("width"))}


def _strm(golden: Golden) -> dict[str, Any]:
    return {
        "cardinality": int(golden.number("cardinality")),
        "width": int(golden.number("width")),
        "auxiliary": golden.number("auxiliary"),
    }


def _otam(golden: Golden) -> dict[str, Any]:
    return {"temperature": golden.number("lambda"), "epsilon": golden.number("cosine_epsilon")}


def _hyrsm(golden: Golden) -> dict[str, Any]:
    return _relating(golden) | {"form": str(golden.arrays["form"])}


def _relating(golden: Golden) -> dict[str, Any]:
    """Facts that HyRSM and MoLo have in common."""
    return {
        "heads": int(golden.number("heads")),
        "position_a": golden.number("position_a"),
        "position_b": golden.number("position_b"),
        "classes": len(golden.tensor("weight/classification_layer.bias")),
        "class_weight": golden.number("class_weight"),
    }


def _molo(golden: Golden) -> dict[str, Any]:
    return _relating(golden) | {
        "motion_weight": golden.number("motion_weight"),
        "contrastive_weight": golden.number("contrastive_weight"),
        "width": int(golden.number("width")),
    }


def _team(golden: Golden) -> dict[str, Any]:
    tokens = golden.tensor("weight/DPM.AP").shape[-2]
    return {"tokens": tokens, "position_scale": golden.number("pe_scale")}


def _clip_fsar(golden: Golden) -> dict[str, Any]:
    widen = golden.tensor("weight/context2.layers.0.1.net.0.bias")
    return {
        "merge": "before" if golden.number("merge_before") else "after",
        "feed_forward": len(widen),
        "class_weight": golden.number("class_weight"),
    }


AUTHORS_TRAINING: Mapping[str, AuthorsTraining] = {
    "mastaf": AuthorsTraining(
        "CTHW",
        lambda golden: _mastaf(golden) | {"alpha": golden.number("alpha")},
        {"global": ("global", ""), "nn": ("nearest", "lamda")},
    ),
    "can": AuthorsTraining(
        "CHW", _can, {"global": ("global", "global_weight"), "nn": ("nearest", "nn_weight")}
    ),
    "trx": AuthorsTraining("TC", _trx, {"episode_sum": ("episode", "")}, sums_over_queries=True),
    "strm": AuthorsTraining(
        "TCHW",
        _strm,
        {"frames_sum": ("frames", ""), "patches_sum": ("patches", "auxiliary")},
        sums_over_queries=True,
    ),
    "otam": AuthorsTraining("TC", _otam, {"episode": ("episode", "")}),
    "hyrsm": AuthorsTraining(
        "TC", _hyrsm, {"episode": ("episode", ""), "frames": ("frames", "class_weight")}
    ),
    "team": AuthorsTraining(
        "TC", _team, {"positive": ("positive", ""), "negative": ("negative", "")}
    ),
    "ta2n": AuthorsTraining(
        "TCHW",
        lambda _: {"reference": "first"},
        {"episode_sum": ("episode", "")},
        sums_over_queries=True,
    ),
    "molo": AuthorsTraining(
        "TCHW",
        _molo,
        {
            "episode": ("episode", ""),
            "classes": ("classes", "class_weight"),
            "s2q": ("contrastive", "contrastive_weight"),
            "q2s": ("contrastive", "contrastive_weight"),
            "s2q_motion": ("contrastive", "contrastive_weight"),
            "q2s_motion": ("contrastive", "contrastive_weight"),
        },
    ),
    "clip-fsar": AuthorsTraining(
        "TC",
        _clip_fsar,
        {"episode": ("episode", ""), "classes": ("classes", "class_weight")},
    ),
    "pal": AuthorsTraining(
        "TC",
        lambda golden: {"epsilon": golden.number("cosine_epsilon")},
        {"meta": ("episode", ""), "prototypes": ("prototypes", "")},
    ),
}
"""By the name of the method's class; its variants have files of their own names."""
