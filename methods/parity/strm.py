"""STRM: outputs of Anirudh257/strm."""

from torch import Tensor

from bench.reference import Golden, adopt, authors_names, reproduces
from methods.parity._episode import encode_episode, feature_shape
from methods.strm import STRM, StrmSettings

MODULES = {
    "transformers.0.k_linear": "tuples.key",
    "transformers.0.v_linear": "tuples.value",
    "transformers.0.norm_k": "tuples.norm",
    "attn_pat.query_proj": "patches.query",
    "attn_pat.key_proj": "patches.key",
    "attn_pat.value_conv": "patches.value",
    "attn_pat.Bot_MLP.inp_fc": "patches.network.0",
    "attn_pat.Bot_MLP.hid_fc": "patches.network.2",
    "attn_pat.Bot_MLP.out_fc": "patches.network.4",
    "fr_enrich.Tok_MLP.inp_fc": "frames.mix_frames.0",
    "fr_enrich.Tok_MLP.out_fc": "frames.mix_frames.2",
    "fr_enrich.Bot_MLP.inp_fc": "frames.mix_channels.0",
    "fr_enrich.Bot_MLP.out_fc": "frames.mix_channels.2",
}
"""Authors' name of a layer -> ours."""
FIXED = "query_distance.0.clsW"
"""The projection of the auxiliary similarity, which is not trained."""

authors_names(
    STRM,
    {
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in MODULES.items()
        for kind in ("weight", "bias")
    }
    | {f"{FIXED}.{kind}": f"fixed_{kind}" for kind in ("weight", "bias")}
    | {"attn_pat.gamma": "patches.gate"},
)


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
