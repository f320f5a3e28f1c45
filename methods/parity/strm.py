"""STRM: outputs of Anirudh257/strm."""

from torch import Tensor

from bench.reference import Golden, adopt, reproduces
from methods.parity._episode import encode_episode, feature_shape
from methods.strm import STRM, StrmSettings


@reproduces("strm/logits", "strm/logits_frame", "strm/logits_patch")
def _of_authors(golden: Golden, output: str) -> Tensor:
    """Code of the authors."""
    weights = golden.weights("strm/weight/")
    support, query = (golden.tensor(key).transpose(1, 2) for key in ("support", "query"))
    shape = feature_shape(query)
    width, length = weights["transformers.0.k_linear.weight"].shape
    settings = StrmSettings(cardinality=length // shape.channels, width=width)
    method = STRM(shape, settings)
    adopt(method, weights)
    encoded = encode_episode(method, golden, support, query)
    state = method.adapt(encoded.support)
    main, auxiliary = method.both_scores(state, encoded.query)
    scores = {"strm/logits_frame": main, "strm/logits_patch": auxiliary}
    return scores.get(output, method.score(state, encoded.query))[0]
