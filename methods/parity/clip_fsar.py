"""CLIP-FSAR: outputs of its authors' code, on random vectors in place of CLIP's."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from bench.method import NamedSupport, TextMethod
from bench.reference import Golden, adopt, authors_names, reproduces
from methods.clip_fsar import ClipFsar, ClipFsarSettings, ZeroShot
from methods.parity._episode import encode_stored, stored_shape

LAYER = "context2.layers.0"
TOLERANCE = 1e-5
"""Tolerance: a tanh in place of the exact GELU changes more than this, and less than 1e-3."""
authors_names(
    ClipFsar,
    {
        "scale": "scale",
        f"{LAYER}.0.norm.weight": "transformer.norm.weight",
        f"{LAYER}.0.norm.bias": "transformer.norm.bias",
        f"{LAYER}.0.fn.to_q.weight": "transformer.query.weight",
        f"{LAYER}.0.fn.to_k.weight": "transformer.key.weight",
        f"{LAYER}.0.fn.to_v.weight": "transformer.value.weight",
        f"{LAYER}.0.fn.to_out.0.weight": "transformer.out.weight",
        f"{LAYER}.0.fn.to_out.0.bias": "transformer.out.bias",
        f"{LAYER}.1.net.0.weight": "transformer.widen.weight",
        f"{LAYER}.1.net.0.bias": "transformer.widen.bias",
        f"{LAYER}.1.net.3.weight": "transformer.narrow.weight",
        f"{LAYER}.1.net.3.bias": "transformer.narrow.bias",
    },
)


def _method(golden: Golden, output: str = "", **changed: Any) -> ClipFsar:
    """Build the method with the authors' weights, and the settings that an output's name tells."""
    told: dict[str, Any] = {
        "merge": "after" if "merge_after" in output else "before",
        "directions": "one" if "single_direction" in output else "both",
        "feed_forward": len(golden.tensor(f"weight/{LAYER}.1.net.0.bias")),
    }
    method = ClipFsar(stored_shape(golden), ClipFsarSettings(**(told | changed)))
    adopt(method, golden.weights("weight/"))
    return method


def _scores(golden: Golden, method: TextMethod) -> Tensor:
    """Scores of the stored queries, (queries, way)."""
    support, query = encode_stored(golden, method)
    return method.score(method.adapt(NamedSupport(support, golden.tensor("text")[None])), query)[0]


@reproduces(
    "clip_fsar/logits",
    "clip_fsar_merge_after/logits",
    "clip_fsar_single_direction/logits",
    tolerance=TOLERANCE,
)
def _logits(golden: Golden, output: str) -> Tensor:
    return _scores(golden, _method(golden, output))


@reproduces("clip_fsar*_combined*/scores", tolerance=TOLERANCE)
def _combined(golden: Golden, output: str) -> Tensor:
    changed = {"text_weight": golden.number("text_coff")} if "coff" in output else {}
    return _scores(golden, _method(golden, output, scores="combined", **changed)).exp()


@reproduces("clip_fsar_text/scores", tolerance=TOLERANCE)
def _by_text(golden: Golden, _output: str) -> Tensor:
    return _scores(golden, _method(golden, scores="text")).softmax(dim=-1)


@reproduces("clip_fsar/query_tokens", tolerance=TOLERANCE)
def _query_tokens(golden: Golden, _output: str) -> Tensor:
    tokens: Tensor = _method(golden).transformer(golden.tensor("query"))
    return tokens


@reproduces("clip_fsar/support_tokens", tolerance=TOLERANCE)
def _support_tokens(golden: Golden, _output: str) -> Tensor:
    method = _method(golden)
    support, _ = encode_stored(golden, method)
    return method.adapt(NamedSupport(support, golden.tensor("text")[None])).frames[0]


@reproduces("clip_fsar/class_logits", tolerance=TOLERANCE)
def _class_logits(golden: Golden, _output: str) -> Tensor:
    videos = torch.cat([golden.tensor("support"), golden.tensor("query")]).mean(dim=1)
    return _method(golden).class_logits(videos[None], golden.tensor("text_train"))[0]


@reproduces("zero_shot/scores", tolerance=TOLERANCE)
def _zero_shot(golden: Golden, _output: str) -> Tensor:
    return _scores(golden, ZeroShot(stored_shape(golden))).softmax(dim=-1)


@reproduces("zero_shot/cosine", tolerance=TOLERANCE)
def _cosine(golden: Golden, _output: str) -> Tensor:
    means, text = golden.tensor("query").mean(dim=1), golden.tensor("text")
    return cosine_similarity(means[:, None], text[None], dim=-1)
