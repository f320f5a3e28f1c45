"""From video files to stored features: decode ahead in parallel, embed in batches."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from bench.features.backbones import LoadedBackbone
from bench.features.clips import load_clips
from bench.features.filling import BATCH, Filling
from bench.features.store import FeatureStore
from bench.machine import distributed
from bench.method import FeatureShape
from bench.runs.schema import FeatureIdentity, Input
from episodes.cache import cache_folder
from episodes.decoding.clips import decoder_identity
from episodes.decoding.readings import Readings
from episodes.decoding.sampling import clip_count
from episodes.errors import UserError, counted
from episodes.split import Progress, VideoFile

ERRORS_SHOWN = 5


def feature_identity(
    loaded: LoadedBackbone, sampling: str, device: torch.device
) -> FeatureIdentity:
    """Return everything that determines the value of a feature, except the video itself."""
    return FeatureIdentity(
        backbone=loaded.backbone.name,
        revision=loaded.backbone.revision,
        weights_sha256=loaded.weights_sha256,
        source_sha256=loaded.source_sha256,
        input=Input(**asdict(loaded.backbone.input)),
        preprocessing="short side by area, centre square; 1",
        sampling=sampling,
        decoder=decoder_identity(loaded.decoder),
        device=device.type,
        dtype="float32",
    )


def open_store(loaded: LoadedBackbone, sampling: str, device: torch.device) -> FeatureStore:
    """Open the store for a backbone, a sampling rule and a type of device."""
    shape = FeatureShape(loaded.backbone.channels, *loaded.backbone.grid)
    identity = feature_identity(loaded, sampling, device).content()
    return FeatureStore(cache_folder() / "features", identity, shape)


class Target(NamedTuple):
    """A store, and the backbone and sampling rule that fill it."""

    store: FeatureStore
    loaded: LoadedBackbone
    sampling: str


def embedded_together(
    wanted: Sequence[tuple[LoadedBackbone, str]],
    files: Sequence[VideoFile],
    device: torch.device,
    progress: Progress,
) -> list[FeatureStore]:
    """Fill a store for each backbone and sampling rule with all videos, each decoded once.

    All backbones take the same input. Each process of a job embeds its share.

    Raises:
        UserError: videos cannot be decoded; the message names up to five of them. The features of
            the others are kept.
    """
    stores = [open_store(loaded, sampling, device) for loaded, sampling in wanted]
    targets = [Target(store, *one) for store, one in zip(stores, wanted, strict=True)]
    embed_missing(targets, distributed.share(files), device, progress)
    distributed.wait()
    if distributed.size() == 1:
        return stores
    # Open them again, with what the other processes have written.
    return [open_store(loaded, sampling, device) for loaded, sampling in wanted]


def embed_missing(
    targets: Sequence[Target],
    files: Sequence[VideoFile],
    device: torch.device,
    progress: Progress,
) -> None:
    """Embed the videos that stores lack; see `embedded_together`."""
    spec, decoder = targets[0].loaded.backbone.input, targets[0].loaded.decoder
    readings = Readings(decoder)
    by_key = {readings.key(file): file for file in files}
    lacking = [(target, set(target.store.missing(by_key))) for target in targets]
    lacking = [(target, keys) for target, keys in lacking if keys]
    # A video is decoded once, with the frames of all samplings for which a store lacks it.
    alike: dict[tuple[str, ...], list[str]] = {}
    for key in by_key:
        needed = dict.fromkeys(target.sampling for target, keys in lacking if key in keys)
        if needed:
            alike.setdefault(tuple(needed), []).append(key)
    errors: list[UserError] = []
    done, total = 0, sum(map(len, alike.values()))
    with ExitStack() as stack:
        fillings = [
            stack.enter_context(Filling(target.store, target.loaded.backbone, device))
            for target, _ in lacking
        ]
        for rules, asked in alike.items():
            frames = [clip_count(rule) * spec.frames for rule in rules]
            decoded = load_clips([by_key[key] for key in asked], spec, rules, decoder)
            clips = zip(asked, decoded, strict=True)
            while batch := list(islice(clips, BATCH)):
                errors += [clip for _, (_, clip) in batch if isinstance(clip, UserError)]
                # Which reader can read a video is known once it has been read: ask for keys again.
                good = [
                    (before, readings.key(file), clip.split(frames, dim=1))
                    for before, (file, clip) in batch
                    if isinstance(clip, Tensor)
                ]
                for filling, (target, keys) in zip(fillings, lacking, strict=True):
                    if target.sampling in rules:
                        at = rules.index(target.sampling)
                        filling.add([(key, of[at]) for before, key, of in good if before in keys])
                done += len(batch)
                progress(done, total)
    if errors:
        unnamed = len(errors) - ERRORS_SHOWN
        raise UserError(
            "\n".join(map(str, errors[:ERRORS_SHOWN]))
            + (f"\n... and {unnamed} more" if unnamed > 0 else "")
            + f"\n{counted(len(errors), 'video')} cannot be read; `fvbench run --allow-missing`"
            " evaluates the other episodes (of a named data set, after `fvbench data verify NAME`"
            " has found all such videos)"
        )
