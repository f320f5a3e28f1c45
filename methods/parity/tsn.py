"""TSN with cosines: outputs of alibaba-mmai-research/HyRSM."""

from torch import Tensor

from bench.reference import Golden, reproduces
from methods.parity._episode import scores_of, stored_shape
from methods.protonet import Tsn, TsnSettings


@reproduces("tsn_cosine/logits")
def _reproduce_cosine(golden: Golden, _output: str) -> Tensor:
    settings = TsnSettings(epsilon=golden.number("cosine_epsilon"))
    return scores_of(golden, Tsn(stored_shape(golden), settings))
