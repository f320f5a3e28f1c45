"""OTAM: outputs of the code of HyRSM, of temporal_matching and of FSL-Video."""

from torch import Tensor

from bench.reference import Golden, reproduces
from methods.otam import OTAM, OtamSettings
from methods.otam_fsl_video import FslVideoOTAM
from methods.parity._episode import scores_of, stored_shape


@reproduces("otam/logits", given="otam/lambda")
def _of_hyrsm(golden: Golden, output: str) -> Tensor:
    """Code of HyRSM: the sum of both directions."""
    settings = OtamSettings(
        temperature=golden.number("otam/lambda"), epsilon=golden.number("otam/cosine_epsilon")
    )
    shape = stored_shape(golden)
    return scores_of(golden, OTAM(shape, settings))


@reproduces("otam/logits", given="cosine_epsilon")
def _of_temporal_matching(golden: Golden, output: str) -> Tensor:
    """Code of temporal_matching: the mean of both directions."""
    settings = OtamSettings(directions="mean of both", epsilon=golden.number("cosine_epsilon"))
    shape = stored_shape(golden)
    return scores_of(golden, OTAM(shape, settings))


@reproduces("otam/scores")
def _of_fsl_video(golden: Golden, output: str) -> Tensor:
    """Code of FSL-Video."""
    shape = stored_shape(golden)
    return scores_of(golden, FslVideoOTAM(shape))
