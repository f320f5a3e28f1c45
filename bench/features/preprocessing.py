"""Preprocessing of videos for a backbone, where the user overrides the backbone's own."""

import re
from copy import copy
from dataclasses import asdict, replace

from bench.backbone import InputSpec
from bench.features.backbones import LoadedBackbone
from bench.pretrained import CroppedInput
from bench.runs.schema import FeatureIdentity
from episodes.decoding.clips import chosen_decoder
from episodes.decoding.sampling import canonical
from episodes.errors import UserError

LARGEST = 2048
"""Largest side of a resized picture, in pixels: such a frame takes 50 MB while it is resized."""


def with_preprocessing(
    loaded: LoadedBackbone, sampling: str | None, resize: str | None, decoder: str | None = None
) -> LoadedBackbone:
    """Return the backbone with another frame sampling, picture size, or video reader.

    The backbone's input size and normalisation do not change, and the centre is cropped.

    Args:
        loaded: the backbone, which stays unchanged and shares its weights with the result.
        sampling: see `episodes.decoding.sampling.frame_indices`; None for that of each method.
        resize: "256": the short side, keeping the aspect ratio; "256x340": height and width, to
            which frames are stretched; None for that of the backbone.
        decoder: the preferred video reader; None for the installed one.

    Raises:
        UserError: there is no such sampling or decoder, or the size is smaller than the input of
            the backbone or larger than `LARGEST`.
    """
    if decoder is not None:
        loaded = replace(loaded, decoder=chosen_decoder(decoder))
    if sampling is not None:
        loaded = replace(loaded, sampling=canonical(sampling))
    if resize is not None:
        backbone = copy(loaded.backbone)
        vars(backbone)["input"] = _resized(loaded.backbone.input, resize)
        loaded = replace(loaded, backbone=backbone)
    return loaded


def with_preprocessing_of(features: FeatureIdentity, loaded: LoadedBackbone) -> LoadedBackbone:
    """Return the backbone with the preprocessing that a run's features record."""
    resized = features.resized
    words = "x".join(map(str, resized)) if isinstance(resized, tuple) else resized
    return with_preprocessing(
        loaded, features.sampling, None if words is None else str(words), features.reader or None
    )


def _resized(spec: InputSpec, resize: str) -> CroppedInput:
    match = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", resize)
    if not match:
        raise UserError(
            f"--resize {resize!r} is not a size; give the short side in pixels (256), or the height"
            " and width to which frames are stretched (256x256)"
        )
    short, width = int(match[1]), int(match[2] or match[1])
    if min(short, width) < spec.size:
        raise UserError(
            f"--resize {resize}: the backbone sees {spec.size} x {spec.size} pixels, cropped from"
            " the resized frame, which has to be at least as large"
        )
    if max(short, width) > LARGEST:
        raise UserError(
            f"--resize {resize}: a side has at most {LARGEST} pixels, of which the backbone sees"
            f" {spec.size}; choose a smaller size"
        )
    stated = asdict(spec) | {"resized": (short, width) if match[2] else short}
    return CroppedInput(**stated)
