"""TRX: outputs of tobyperrett/trx, with one cardinality and with several."""

from torch import Tensor

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.parity._episode import encode_stored, stored_shape
from methods.trx import TRX, TrxSettings

MOST_CARDINALITIES = 8
"""Upper bound on the number of heads that are looked for."""
PARTS = {"k_linear": "key", "v_linear": "value", "norm_k": "norm"}
"""Authors' name of a part of a head -> ours."""

authors_names(
    TRX,
    {
        f"transformers.{head}.{theirs}.{kind}": f"heads.{head}.{ours}.{kind}"
        for head in range(MOST_CARDINALITIES)
        for theirs, ours in PARTS.items()
        for kind in ("weight", "bias")
    },
)


@reproduces("trx/logits", "trx/cardinality*/logits")
def _of_authors(golden: Golden, output: str) -> Tensor:
    """Code of the authors: one cardinality, or the mean of all."""
    sizes = tuple(size for size in range(1, 9) if f"trx/cardinality{size}/logits" in golden)
    width = len(golden.tensor(f"trx/cardinality{sizes[0]}/weight/k_linear.bias"))
    weights = {
        f"transformers.{head}.{name}": weight
        for head, size in enumerate(sizes)
        for name, weight in golden.weights(f"trx/cardinality{size}/weight/").items()
    }
    method = TRX(stored_shape(golden), TrxSettings(cardinalities=sizes, width=width))
    adopt(method, weights)
    support, query = encode_stored(golden, method)
    if output == "trx/logits":
        return method.score(method.adapt(support), query)[0]
    scores = method.scores_by_cardinality(method.adapt(support), query)
    return dict(zip(sizes, scores, strict=True))[int(output.removesuffix("/logits")[-1])][0]
