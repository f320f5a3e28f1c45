"""``fvbench features export``."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.options import (
    Backbone,
    Cache,
    Data,
    Decoder,
    Device,
    Episodes,
    Plugin,
    Resize,
    Sampling,
)
from episodes.errors import UserError


def export(
    out: Annotated[Path, typer.Option(help="Folder, or table: .npz, .safetensors or .npy.")],
    bank: Annotated[
        str | None, typer.Option(help="Name or recipe file of a bank; default: the bank `default`.")
    ] = None,
    data: Data = None,
    episodes: Episodes = None,
    backbone: Backbone = "motion",
    sampling: Sampling = None,
    resize: Resize = None,
    decoder: Decoder = None,
    device: Device = "auto",
    plugin: Plugin = None,
    cache: Cache = None,
) -> None:
    """Write the features of a bank's videos, for use elsewhere.

    Writes one file for each video, OUT/CLASS/VIDEO.npy, float32 (C, T, H, W); or, if OUT ends in
    .npz (arrays names and features), .safetensors (a tensor for each name) or .npy (names in a .txt
    beside it), one table. A features.json states the backbone and the frame sampling. `fvbench run
    --features OUT` and `fvbench train --features OUT` read the same format.

    exit status
      0  done
      2  nothing written: no such bank or backbone, missing videos, or OUT cannot be written or
         holds features of another origin

    Example: fvbench features export --bank default --out results/local/features.npz
    """
    from bench.commands.arguments import chosen_banks
    from bench.features.backbones import load_backbone, with_preprocessing
    from bench.features.embedding import embedded_together, feature_identity
    from bench.features.files import FeatureCard, check_origin, write_features
    from bench.machine.device import choose_device
    from bench.machine.progress import Reporter
    from bench.method import Method
    from bench.pretrained import Pretrained

    banks = chosen_banks(bank, data, episodes)
    if len(banks) > 1:
        raise UserError(f"--bank {bank!r}: features are exported for one bank; name one")
    (opened,) = banks
    where, reporter = choose_device(device), Reporter()
    loaded = with_preprocessing(load_backbone(backbone, where), sampling, resize, decoder)
    frames = loaded.sampling_for(Method)
    identity = feature_identity(loaded, frames, where)
    card = FeatureCard(
        backbone=loaded.backbone.name,
        weights_sha256=loaded.weights_sha256,
        pretraining=loaded.backbone.pretraining,
        seen=loaded.backbone.seen if isinstance(loaded.backbone, Pretrained) else None,
        sampling=identity.sampling,
        resize=identity.resized,
        decoder=identity.decoder,
        device=identity.device,
        source_sha256=identity.source_sha256,
    )
    check_origin(out, card)  # before videos are decoded for nothing
    videos = [opened.split.videos[index] for index in opened.used_videos()]
    with reporter.stage(f"prepare {opened.source.name} videos") as progress:
        files = opened.source.files(opened.recipe.split, videos, progress)
    with reporter.stage(f"embed {frames}") as progress:
        (store,) = embedded_together([(loaded, frames)], files, where, progress)
    keys = loaded.keys(files)
    names = [f"{video.label}/{video.name}" for video in videos]
    written = write_features(out, names, lambda part: store.read(keys[part]), card)
    shape = " x ".join(map(str, store.shape))
    typer.echo(f"wrote features {shape} of {len(videos):,} videos: {written[0]} ... {written[-1]}")
