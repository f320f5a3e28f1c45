"""HyRSM: outputs of alibaba-mmai-research/HyRSM."""

from collections.abc import Mapping
from typing import Literal, cast

import torch
from torch import Tensor, nn

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.hyrsm import HyRSM, HyRSMSettings
from methods.parity._episode import as_maps, scores_of, stored_shape

FORMS: Mapping[str, Literal["prototypes", "supports"]] = {
    "hyrsm_1shot": "supports",
    "hyrsm_5shot": "prototypes",
}
"""The authors' two classes, and the form that each computes."""


authors_names(
    HyRSM,
    {
        "temporal_atte_before.norm.weight": "intra.norm.weight",
        "temporal_atte_before.norm.bias": "intra.norm.bias",
        "temporal_atte_before.fn.to_qkv.weight": "intra.project_in.weight",
        "temporal_atte_before.fn.to_out.0.weight": "intra.project_out.weight",
        "temporal_atte_before.fn.to_out.0.bias": "intra.project_out.bias",
        "temporal_atte.w_qs.weight": "inter.query.weight",
        "temporal_atte.w_ks.weight": "inter.key.weight",
        "temporal_atte.w_vs.weight": "inter.value.weight",
        "temporal_atte.fc.weight": "inter.out.weight",
        "temporal_atte.fc.bias": "inter.out.bias",
        "temporal_atte.layer_norm.weight": "inter.norm.weight",
        "temporal_atte.layer_norm.bias": "inter.norm.bias",
        "layer2.0.weight": "merge.weight",
        "layer2.0.bias": "merge.bias",
        "classification_layer.weight": "head.weight",
        "classification_layer.bias": "head.bias",
    },
)


def _authors_method(golden: Golden, output: str) -> HyRSM:
    family = output.split("/", maxsplit=1)[0]
    weights = golden.weights(f"{family}/weight/")
    classes = len(weights["classification_layer.weight"])
    settings = HyRSMSettings(form=FORMS[family], classes=classes)
    method = HyRSM(stored_shape(golden), settings)
    adopt(method, weights)
    return method


@reproduces("hyrsm_1shot/logits", "hyrsm_5shot/logits")
def _reproduce_logits(golden: Golden, output: str) -> Tensor:
    return scores_of(golden, _authors_method(golden, output))


@reproduces("hyrsm_1shot/class_logits", "hyrsm_5shot/class_logits")
def _reproduce_class_logits(golden: Golden, output: str) -> Tensor:
    method = _authors_method(golden, output)
    videos = torch.cat([golden.tensor("support"), golden.tensor("query")])
    logits: Tensor = cast(nn.Linear, method.head)(method.encode(as_maps(videos)).frames)
    return logits.flatten(0, 1)
