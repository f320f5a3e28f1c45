"""Chamfer++: outputs of jbertrand89/temporal_matching."""

from torch import Tensor

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.chamfer_plus_plus import ChamferPlusPlus, ChamferPlusPlusSettings
from methods.parity._episode import scores_of, stored_shape

authors_names(
    ChamferPlusPlus,
    {
        "fc.weight": "projection.weight",
        "fc.bias": "projection.bias",
        "layer_norm.weight": "norm.weight",
        "layer_norm.bias": "norm.bias",
        "temperature_weight": "temperature",
    },
)


@reproduces("chamfer_plus_plus/logits")
def _of_authors(golden: Golden, output: str) -> Tensor:
    """Code of temporal_matching."""
    weights = golden.weights("chamfer_plus_plus/weight/")
    shape = stored_shape(golden)
    width, length = weights["fc.weight"].shape
    settings = ChamferPlusPlusSettings(
        cardinality=length // shape.channels,
        width=width,
        temperature=float(weights["global_temperature"]),
        epsilon=golden.number("cosine_epsilon"),
    )
    return scores_of(golden, adopt(ChamferPlusPlus(shape, settings), weights))
