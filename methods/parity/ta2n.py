"""TA2N: outputs of R00Kie-Liu/TA2N."""

from torch import Tensor

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.parity._episode import Encoded, encode_episode, feature_shape
from methods.ta2n import TA2N, TA2NSettings

PARTS = ("key", "query", "value")


def _layer_names(theirs: str, ours: str, *kinds: str) -> dict[str, str]:
    """Authors' names of a layer's tensors -> ours; its weight and bias, and other ``kinds``."""
    return {f"{theirs}.{kind}": f"{ours}.{kind}" for kind in ("weight", "bias", *kinds)}


def _block_names(net: str, place: int, ours: str) -> dict[str, str]:
    """Authors' names of the convolution at ``place`` and the norm behind it -> ours."""
    norm = _layer_names(f"{net}.{place + 1}", f"{ours}.norm", "running_mean", "running_var")
    return _layer_names(f"{net}.{place}", f"{ours}.conv") | norm


authors_names(
    TA2N,
    {
        **_block_names("firststage.locnet", 0, "retiming.blocks.0"),
        **_block_names("firststage.locnet", 4, "retiming.blocks.1"),
        **_block_names("secondstage.mvnet", 0, "pairing.first"),
        **_block_names("secondstage.mvnet", 4, "pairing.second"),
        **_layer_names("firststage.locnet.10", "retiming.line.0"),
        **_layer_names("firststage.locnet.12", "retiming.line.2"),
        **_layer_names("secondstage.mvnet.10", "pairing.offset.0"),
        **_layer_names("secondstage.mvnet.12", "pairing.offset.2"),
        **{f"secondstage.{part}net.weight": f"pairing.{part}.weight" for part in PARTS},
        **{f"{part}net_multi.weight": f"shots.{part}.weight" for part in PARTS},
    },
)


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
    method.pairing = None
    return method.score(*_authors_episode(golden, method))[0]


@reproduces("ta2n/theta_support", "ta2n/theta_query")
def _reproduce_theta(golden: Golden, output: str) -> Tensor:
    method = _authors_method(golden)
    return method.retiming.theta(_maps(golden, output.removeprefix("ta2n/theta_")))


@reproduces("ta2n/offsets")
def _reproduce_offsets(golden: Golden, _: str) -> Tensor:
    method = _authors_method(golden)
    return method.align(*_authors_episode(golden, method)).offsets[0].transpose(0, 1)
