"""CAN: outputs of blue-blue272/fewshot-CAN."""

from torch import Tensor

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.can import Can, CanSettings, TransductiveCan
from methods.parity._episode import encode_stored, scores_of, stored_shape
from methods.parity.mastaf import ATTENTION, loss_as_stored, position_outputs, sizes_of

for method in (Can, TransductiveCan):
    # The authors' own spelling.
    head = {"clasifier.weight": "head.weight", "clasifier.bias": "head.bias"}
    authors_names(method, ATTENTION | head)


def _authors_method(golden: Golden, cls: type[Can]) -> Can:
    weights, shape = golden.weights("can/weight/"), stored_shape(golden)
    settings = CanSettings(
        scale=golden.number("scale"),
        temperature=golden.number("temperature"),
        lamda=golden.number("nn_weight"),
        global_weight=golden.number("global_weight"),
        fraction=golden.number("can/transductive_fraction"),
        **sizes_of(shape, weights, "clasifier"),
    )
    method = cls(shape, settings)
    adopt(method, weights)
    return method


@reproduces("can/scores", "can/transductive_scores")
def _reproduce_scores(golden: Golden, output: str) -> Tensor:
    method = _authors_method(golden, Can if output == "can/scores" else TransductiveCan)
    return scores_of(golden, method)


@reproduces("can/local_scores", "can/global_logits")
def _reproduce_positions(golden: Golden, output: str) -> Tensor:
    method = _authors_method(golden, Can)
    episode = encode_stored(golden, method)
    return position_outputs(method, golden, episode, output.removeprefix("can/"))


@reproduces("can/loss*")
def _reproduce_loss(golden: Golden, output: str) -> Tensor:
    method = _authors_method(golden, Can)
    episode = encode_stored(golden, method)
    return loss_as_stored(method, golden, episode, output.removeprefix("can/"))
