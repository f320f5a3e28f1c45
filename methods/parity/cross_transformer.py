"""CrossTransformer on frames: outputs of the code that it follows."""

from torch import Tensor

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.cross_transformer import CrossTransformer, CrossTransformerSettings
from methods.parity._episode import scores_of, stored_shape

authors_names(
    CrossTransformer, {"key_head.weight": "key.weight", "value_head.weight": "value.weight"}
)


@reproduces("cross_transformer/logits")
def _reproduce(golden: Golden, _output: str) -> Tensor:
    weights = golden.weights("cross_transformer/weight/")
    settings = CrossTransformerSettings(width=len(weights["key_head.weight"]))
    method = CrossTransformer(stored_shape(golden), settings)
    adopt(method, weights)
    return scores_of(golden, method)
