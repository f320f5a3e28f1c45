"""From video files to stored features: decode ahead in parallel, embed in batches."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from bench.backbone import Backbone
from bench.features.backbones import LoadedBackbone
from bench.features.clips import load_clips
from bench.features.filling import BATCH, Embedding, Filling, warm_up
from bench.features.store import FeatureStore
from bench.machine import distributed
from bench.method import FeatureShape
from bench.runs.schema import FeatureIdentity, Input
from episodes.cache import cache_folder
from episodes.decoding.clips import decoder_identity
from episodes.decoding.readings import Readings
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


def embedded_together(
    backbones: Sequence[LoadedBackbone],
    sampling: str,
    files: Sequence[VideoFile],
    device: torch.device,
    progress: Progress,
) -> list[FeatureStore]:
    """Fill a store for each backbone with all videos; each process of a job embeds its share.

    Raises:
        UserError: videos cannot be decoded.
    """
    stores = [open_store(loaded, sampling, device) for loaded in backbones]
    mine = distributed.share(files)
    embed_missing(list(zip(stores, backbones, strict=True)), sampling, mine, device, progress)
    distributed.wait()
    if distributed.size() == 1:
        return stores
    # Open them again, with what the other processes have written.
    return [open_store(loaded, sampling, device) for loaded in backbones]


def embed_missing(
    targets: Sequence[tuple[FeatureStore, LoadedBackbone]],
    sampling: str,
    files: Sequence[VideoFile],
    device: torch.device,
    progress: Progress,
) -> None:
    """Embed the videos that stores lack, decoding each once for all stores.

    Args:
        targets: stores, and the backbones that fill them; all backbones take the same input.
        sampling: rule by which frames are sampled.
        files: the videos.
        device: where the backbones are.
        progress: told of the number of videos done.

    Raises:
        UserError: videos cannot be decoded; the message names up to five of them. The features of
            the others are kept.
    """
    decoder = targets[0][1].decoder
    readings = Readings(decoder)
    by_key = {readings.key(file): file for file in files}
    lacking = [set(store.missing(by_key)) for store, _ in targets]
    missing = {key: file for key, file in by_key.items() if any(key in one for one in lacking)}
    errors: list[UserError] = []
    done = 0
    clips = zip(
        missing,
        load_clips(list(missing.values()), targets[0][1].backbone.input, sampling, decoder),
        strict=True,
    )
    with ExitStack() as stack:
        fillings = [
            stack.enter_context(Filling(store, loaded.backbone, device, bool(lacks)))
            for (store, loaded), lacks in zip(targets, lacking, strict=True)
        ]
        while batch := list(islice(clips, BATCH)):
            errors += [found for _, (_, found) in batch if isinstance(found, UserError)]
            # Which reader can read a video is known once it has been read, so ask for keys again.
            good = [
                (asked, readings.key(file), clip)
                for asked, (file, clip) in batch
                if isinstance(clip, Tensor)
            ]
            for filling, lacks in zip(fillings, lacking, strict=True):
                filling.add([(key, clip) for asked, key, clip in good if asked in lacks])
            done += len(batch)
            progress(done, len(missing))
    if errors:
        unnamed = len(errors) - ERRORS_SHOWN
        raise UserError(
            "\n".join(map(str, errors[:ERRORS_SHOWN]))
            + (f"\n... and {unnamed} more" if unnamed > 0 else "")
            + f"\n{counted(len(errors), 'video')} cannot be read; --allow-missing evaluates the"
            " other episodes (of a named data set, after `fvbench data verify NAME` has found"
            " all such videos)"
        )


def embed(
    backbone: Backbone, videos: Sequence[Tensor], device: torch.device
) -> tuple[np.ndarray, float]:
    """Embed clips in batches of fixed size, and average the maps of each video's clips.

    Args:
        backbone: the backbone, on the device.
        videos: each (3, clips * frames, size, size), with the same number of clips.
        device: where to compute.

    Returns:
        features, float32 (videos, C, T, H, W), and the seconds that they took.
    """
    warm_up(backbone, device)
    embedding = Embedding(backbone, device)
    embedding.add([("", video) for video in videos])
    return embedding.result()
