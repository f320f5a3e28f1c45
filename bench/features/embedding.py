"""From video files to stored features: decode ahead in threads, embed in batches."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import distributed
from bench.backbone import Backbone
from bench.backbones import LoadedBackbone
from bench.clips import load_clips
from bench.device import Stopwatch
from bench.features.store import FeatureStore
from bench.method import FeatureShape
from episodes.cache import cache_folder
from episodes.datasets import Progress, VideoFile
from episodes.decoding import decoder_identity
from episodes.errors import UserError

BATCH = 16
"""Clips embedded at once, always: the last batch is filled up. Kernels may add in another order
for another batch size, and a feature must not depend on which videos were missing."""
SHARD = 128
"""Clips written at once: what a kill can cost."""
ERRORS_SHOWN = 5


def feature_identity(loaded: LoadedBackbone, sampling: str, device: torch.device) -> dict[str, Any]:
    """Return everything that decides a feature's value, but for the video itself."""
    return {
        "backbone": loaded.backbone.name,
        "revision": loaded.backbone.revision,
        "weights_sha256": loaded.weights_sha256,
        "source_sha256": loaded.source_sha256,
        "input": asdict(loaded.backbone.input),
        "preprocessing": "short side by area, centre square; 1",
        "sampling": sampling,
        "decoder": decoder_identity(),
        "device": device.type,
        "dtype": "float32",
    }


def open_store(loaded: LoadedBackbone, sampling: str, device: torch.device) -> FeatureStore:
    """Open the store for a backbone, a sampling rule and a kind of device."""
    shape = FeatureShape(loaded.backbone.channels, *loaded.backbone.grid)
    identity = feature_identity(loaded, sampling, device)
    return FeatureStore(cache_folder() / "features", identity, shape)


def embedded_together(
    loaded: LoadedBackbone,
    sampling: str,
    files: Sequence[VideoFile],
    device: torch.device,
    progress: Progress,
) -> FeatureStore:
    """Open the store once it holds all of the videos; each process of a job embeds its share.

    Raises:
        UserError: videos that cannot be decoded.
    """
    store = open_store(loaded, sampling, device)
    embed_missing(store, loaded, sampling, distributed.share(files), device, progress)
    distributed.wait()
    # Opened anew where others have embedded too.
    return open_store(loaded, sampling, device) if distributed.size() > 1 else store


def embed_missing(
    store: FeatureStore,
    loaded: LoadedBackbone,
    sampling: str,
    files: Sequence[VideoFile],
    device: torch.device,
    progress: Progress,
) -> None:
    """Embed those of the videos that the store does not hold.

    Raises:
        UserError: videos that cannot be decoded, all of them named together (at most five by
            path). What could be embedded is kept.
    """
    by_hash = {file.sha256: file for file in files}
    missing = [by_hash[sha] for sha in store.missing(by_hash)]
    errors: list[UserError] = []
    done = 0
    clips = load_clips(missing, loaded.backbone.input, sampling)
    while shard := list(islice(clips, SHARD)):
        errors += [found for _, found in shard if isinstance(found, UserError)]
        good = [(file.sha256, clip) for file, clip in shard if isinstance(clip, Tensor)]
        if good:
            features, seconds = embed(loaded.backbone, [clip for _, clip in good], device)
            store.write([sha for sha, _ in good], features, seconds)
        done += len(shard)
        progress(done, len(missing))
    if errors:
        raise _together(errors)


def _together(errors: Sequence[UserError]) -> UserError:
    """One error for all files that could not be decoded."""
    left_out = len(errors) - ERRORS_SHOWN
    more = f"\n... and {left_out} more" if left_out > 0 else ""
    return UserError("\n".join(map(str, errors[:ERRORS_SHOWN])) + more)


@torch.no_grad()
def embed(
    backbone: Backbone, videos: Sequence[Tensor], device: torch.device
) -> tuple[np.ndarray, float]:
    """Embed clips in batches of one size, and average the maps of the clips of a video.

    Args:
        backbone: on the device.
        videos: of each (3, clips * frames, size, size), the same number of clips for all.
        device: where to compute.

    Returns:
        features, float32 (videos, C, T, H, W), and the seconds they took.
    """
    features = []
    clips = [clip for video in videos for clip in video.split(backbone.input.frames, dim=1)]
    if device.type == "cuda":
        # The first call chooses kernels and loads them: it says nothing about speed.
        backbone(torch.stack([clips[0]] * BATCH).to(device))
    with Stopwatch(device) as watch:
        for first in range(0, len(clips), BATCH):
            batch = list(clips[first : first + BATCH])
            filled = torch.stack(batch + [batch[-1]] * (BATCH - len(batch)))
            features.append(backbone(filled.to(device)).float()[: len(batch)].cpu())
    maps = torch.cat(features)
    return maps.unflatten(0, (len(videos), -1)).mean(dim=1).numpy(), watch.seconds
