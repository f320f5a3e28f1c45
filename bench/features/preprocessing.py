"""Preprocessing of videos for a backbone, if a user overrides what the backbone states."""

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


def with_preprocessing(
    loaded: LoadedBackbone, sampling: str | None, resize: str | None, decoder: str | None = None
) -> LoadedBackbone:
    """Return the backbone with another frame sampling, picture size, or video reader.

    The backbone's input size and normalisation do not change, and the centre is cropped.

    Args:
        loaded: the backbone; it does not change, but shares its weights with the result.
        sampling: see `episodes.decoding.sampling.frame_indices`; None for what each method asks.
        resize: "256": the short side, keeping the aspect ratio; "256x340": height and width, to
            which pictures are stretched; None for what the backbone states.
        decoder: the preferred video reader; if None, the one that is installed.

    Raises:
        UserError: no such sampling or decoder, or a picture smaller than what the backbone sees.
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
    """Return the backbone with the preprocessing that a run's features record.

    Args:
        features: the part of a run's identity.
        loaded: the backbone as it is without options.
    """
    resized = features.resized
    words = "x".join(map(str, resized)) if isinstance(resized, tuple) else resized
    return with_preprocessing(
        loaded, features.sampling, None if words is None else str(words), features.reader or None
    )


def _resized(spec: InputSpec, resize: str) -> CroppedInput:
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", resize)
    if not match:
        raise UserError(
            f"--resize {resize!r} is not a size; give the short side in pixels (256), or height and"
            " width to which pictures are stretched (256x256)"
        )
    short, width = int(match[1]), int(match[2] or match[1])
    if min(short, width) < spec.size:
        raise UserError(
            f"--resize {resize}: the backbone sees {spec.size} x {spec.size} pixels, cut out of the"
            " resized picture, which is at least as large"
        )
    stated = asdict(spec) | {"resized": (short, width) if match[2] else short}
    return CroppedInput(**stated)
