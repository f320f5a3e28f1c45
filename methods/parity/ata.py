"""ATA: outputs of VinAIResearch/fsvc-ata."""

from torch import Tensor

from bench.reference import Golden, reproduces
from methods.ata import (
    ATA,
    SHARPNESS,
    AtaSettings,
    TransductiveATA,
    appearance,
    scaled_cosines,
    temporal,
)
from methods.parity._episode import encode_stored, stored_shape


@reproduces("ata/iter*/*", "ata_transductive/iter*/*")
def _of_authors(golden: Golden, output: str) -> Tensor:
    """Code of the authors, after any number of refinements."""
    form, steps, part = output.split("/")
    settings = AtaSettings(
        steps=int(steps.removeprefix("iter")),
        scale=golden.number("scale"),
        sigma=golden.number("sigma"),
    )
    shape = stored_shape(golden)
    method = TransductiveATA(shape, settings) if "transductive" in form else ATA(shape, settings)
    support, query = encode_stored(golden, method)
    state = method.adapt(support)
    if part == "scores":
        return method.score(state, query)[0]
    if isinstance(method, TransductiveATA):
        state = method.refine(state, query)
    if part == "appearance":
        return SHARPNESS * appearance(scaled_cosines(state, query))[0]
    if part == "temporal":
        return SHARPNESS * temporal(scaled_cosines(state, query), settings.sigma)[0]
    return {"prototypes": state.frames[0], "scale": state.scale}[part]
