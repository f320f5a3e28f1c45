"""ViSiL: outputs of jbertrand89/temporal_matching."""

from torch import Tensor

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.parity._episode import scores_of, stored_shape
from methods.visil import ViSiL, VisilSettings

authors_names(
    ViSiL,
    {f"visil_fcn.conv{layer}.weight": f"filters.{layer - 1}.weight" for layer in range(1, 5)},
)


@reproduces("visil/logits")
def _of_temporal_matching(golden: Golden, output: str) -> Tensor:
    """Code of temporal_matching, temperature 1."""
    settings = VisilSettings(temperature=1.0, epsilon=golden.number("cosine_epsilon"))
    method = ViSiL(stored_shape(golden), settings)
    return scores_of(golden, adopt(method, golden.weights("visil/weight/")))
