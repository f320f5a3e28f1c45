"""TA2N: outputs of R00Kie-Liu/TA2N."""

from torch import Tensor

from bench.reference import Golden, adopt, reproduces
from methods.parity._episode import Encoded, encode_episode, feature_shape
from methods.ta2n import TA2N, TA2NSettings


def _maps(golden: Golden, key: str) -> Tensor:
    """Stored (videos, T, C, H, W) -> (videos, C, T, H, W)."""
    return golden.tensor(key).transpose(1, 2)


def _authors_method(golden: Golden) -> TA2N:
    settings = TA2NSettings(reference="first")
    method = TA2N(feature_shape(_maps(golden, "support")), settings)
    adopt(method, golden.weights("ta2n/weight/"))
    return method


def _authors_episode(golden: Golden, method: TA2N) -> Encoded:
    support, query = encode_episode(
        method, golden, _maps(golden, "support"), _maps(golden, "query")
    )
    return Encoded(method.adapt(support), query)


@reproduces("ta2n/logits")
def _reproduce_logits(golden: Golden, _: str) -> Tensor:
    method = _authors_method(golden)
    return method.score(*_authors_episode(golden, method))[0]


@reproduces("ta2n/logits_first_stage_only")
def _reproduce_first_stage(golden: Golden, _: str) -> Tensor:
    method = _authors_method(golden)
    state, query = _authors_episode(golden, method)
    return method.score(state._replace(prepared=None), query)[0]


@reproduces("ta2n/theta_support", "ta2n/theta_query")
def _reproduce_theta(golden: Golden, output: str) -> Tensor:
    method = _authors_method(golden)
    return method.retiming.theta(_maps(golden, output.removeprefix("ta2n/theta_")))


@reproduces("ta2n/offsets")
def _reproduce_offsets(golden: Golden, _: str) -> Tensor:
    method = _authors_method(golden)
    return method.align(*_authors_episode(golden, method)).offsets[0].transpose(0, 1)
