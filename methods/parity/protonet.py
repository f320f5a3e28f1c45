"""Prototypical networks and kin: outputs of FSL-Video, easyfsl and HyRSM's TSN."""

from torch import Tensor

from bench.reference import Golden, reproduces
from methods.parity._episode import scores_of, stored_shape
from methods.protonet import ProtoNet, ProtoNetSettings


@reproduces("proto/scores", "tsn_l2/logits")
def _reproduce_squared(golden: Golden, _output: str) -> Tensor:
    return scores_of(golden, ProtoNet(stored_shape(golden)))


@reproduces("prototypical/scores")
def _reproduce_euclidean(golden: Golden, _output: str) -> Tensor:
    settings = ProtoNetSettings(comparison="euclidean")
    return scores_of(golden, ProtoNet(stored_shape(golden), settings))


@reproduces("simple_shot/scores")
def _reproduce_cosine(golden: Golden, _output: str) -> Tensor:
    settings = ProtoNetSettings(comparison="cosine")
    return scores_of(golden, ProtoNet(stored_shape(golden), settings))
