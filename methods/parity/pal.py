"""PAL: outputs of the code that it follows."""

import torch
from torch import Tensor

from bench.method import LabelledEpisodes
from bench.reference import Golden, adopt, authors_names, reproduces
from methods.pal import Pal, PalSettings
from methods.parity._episode import encode_stored, scores_of, stored_shape

authors_names(
    Pal,
    {
        "mha.in_proj_weight": "attention.in_proj_weight",
        "mha.in_proj_bias": "attention.in_proj_bias",
        "mha.out_proj.weight": "attention.out_proj.weight",
        "mha.out_proj.bias": "attention.out_proj.bias",
    },
)


def _authors_method(golden: Golden) -> Pal:
    method = Pal(stored_shape(golden), PalSettings(epsilon=golden.number("cosine_epsilon")))
    adopt(method, golden.weights("pal/weight/"))
    return method


@reproduces("pal/logits")
def _reproduce_logits(golden: Golden, _output: str) -> Tensor:
    return scores_of(golden, _authors_method(golden))


@reproduces("pal/loss")
def _reproduce_loss(golden: Golden, _output: str) -> Tensor:
    method = _authors_method(golden)
    classes = torch.arange(golden.way)[None]
    labels = golden.tensor("query_labels")[None]
    terms = method.loss(LabelledEpisodes(*encode_stored(golden, method), labels, classes))
    return terms["episode"] + terms["prototypes"]
