"""Frame matching: outputs of jbertrand89/temporal_matching, and of HyRSM for Bi-MHM."""

from typing import Literal

from torch import Tensor

from bench.reference import Golden, adopt, reproduces
from methods.matching import (
    BiMHM,
    Chamfer,
    ChamferSettings,
    Diagonal,
    Linear,
    LinearSettings,
    Max,
    Mean,
)
from methods.parity._episode import scores_of, stored_shape

SIDES: dict[str, Literal["both", "query", "support"]] = {
    "chamfer": "both",
    "chamfer_query": "query",
    "chamfer_support": "support",
}


@reproduces("diag/logits", "mean/logits", "linear/logits", "max/logits", "max_joint/logits")
@reproduces(
    *("chamfer/logits", "chamfer_query/logits", "chamfer_support/logits"),
    *("chamfer_joint/logits", "chamfer_query_joint/logits", "chamfer_support_joint/logits"),
)
def _of_temporal_matching(golden: Golden, output: str) -> Tensor:
    """Code of temporal_matching, every temperature 1."""
    name = output.removesuffix("/logits")
    kind, joint = name.removesuffix("_joint"), name.endswith("_joint")
    epsilon = golden.number("cosine_epsilon")
    shape = stored_shape(golden)
    if kind == "linear":
        linear = Linear(shape, LinearSettings(epsilon=epsilon, temperature=1.0))
        return scores_of(golden, adopt(linear, golden.weights("linear/weight/")))
    if kind in SIDES:
        settings = ChamferSettings(joint=joint, epsilon=epsilon, sides=SIDES[kind])
        return scores_of(golden, Chamfer(shape, settings))
    cls = {"diag": Diagonal, "mean": Mean, "max": Max}[kind]
    return scores_of(golden, cls(shape, cls.Settings(joint=joint, epsilon=epsilon)))


@reproduces("bimhm/logits")
def _of_hyrsm(golden: Golden, output: str) -> Tensor:
    """Code of HyRSM, Bi-MHM on the raw frames."""
    shape = stored_shape(golden)
    return scores_of(golden, BiMHM(shape))
