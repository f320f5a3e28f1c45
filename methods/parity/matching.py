"""Frame matching: outputs of jbertrand89/temporal_matching, and of HyRSM for Bi-MHM."""

from torch import Tensor

from bench.method import Method
from bench.reference import Golden, adopt, authors_names, reproduces
from methods.matching import (
    BiMHM,
    Chamfer,
    ChamferSettings,
    Diagonal,
    JointChamfer,
    JointMax,
    Linear,
    LinearSettings,
    MatchingSettings,
    Max,
    Mean,
)
from methods.parity._episode import scores_of, stored_shape
from methods.parts.frames import Sides

authors_names(Linear, {"matching_function.linear.weight": "weights.weight"})

RULES: dict[str, type[Method]] = {"diag": Diagonal, "mean": Mean, "max": Max, "max_joint": JointMax}
SIDES: dict[str, Sides] = {
    "chamfer": "both",
    "chamfer_query": "query",
    "chamfer_support": "support",
}


@reproduces(*(f"{rule}/logits" for rule in RULES))
def _of_rules(golden: Golden, output: str) -> Tensor:
    """Code of temporal_matching, temperature 1."""
    rule = RULES[output.removesuffix("/logits")]
    settings = MatchingSettings(epsilon=golden.number("cosine_epsilon"))
    return scores_of(golden, rule(stored_shape(golden), settings))


@reproduces(*(f"{rule}{joint}/logits" for rule in SIDES for joint in ("", "_joint")))
def _of_chamfer(golden: Golden, output: str) -> Tensor:
    """Code of temporal_matching, temperature 1."""
    rule, joint, _ = output.removesuffix("/logits").partition("_joint")
    settings = ChamferSettings(epsilon=golden.number("cosine_epsilon"), sides=SIDES[rule])
    cls = JointChamfer if joint else Chamfer
    return scores_of(golden, cls(stored_shape(golden), settings))


@reproduces("linear/logits")
def _of_linear(golden: Golden, _: str) -> Tensor:
    """Code of temporal_matching, temperature 1."""
    settings = LinearSettings(epsilon=golden.number("cosine_epsilon"), temperature=1.0)
    method = Linear(stored_shape(golden), settings)
    return scores_of(golden, adopt(method, golden.weights("linear/weight/")))


@reproduces("bimhm/logits")
def _of_hyrsm(golden: Golden, _: str) -> Tensor:
    """Code of HyRSM, Bi-MHM on the raw frames."""
    return scores_of(golden, BiMHM(stored_shape(golden)))
