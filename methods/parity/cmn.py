"""CMN: outputs of MCG-NJU/FSL-Video."""

from torch import Tensor

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.cmn import Cmn, CmnSettings
from methods.parity._episode import scores_of, stored_shape

authors_names(Cmn, {"h": "hubs", "fc.weight": "merge.weight", "fc.bias": "merge.bias"})


@reproduces("cmn/scores")
def _reproduce(golden: Golden, _output: str) -> Tensor:
    weights = golden.weights("cmn/weight/")
    method = Cmn(stored_shape(golden), CmnSettings(hubs=len(weights["h"])))
    adopt(method, weights)
    return scores_of(golden, method)
