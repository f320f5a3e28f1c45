"""Training the backbone of the rendered dataset: plain classification of the training classes.

The number of steps is fixed, so that the same seed on the same machine gives the same weights
however busy the machine is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.backbone import Backbone
from bench.features.clips import load_clips
from bench.machine.device import describe_device
from bench.machine.progress import Reporter
from bench.pretrained import save_tensors
from bench.runs.circumstances import circumstances
from bench.training.clips import augmented, drawn_changes
from bench.weights.backbone_card import BackboneCard, BackboneRecipe, WordsRecipe
from bench.weights.cards import TrainedOn, file_sha256
from episodes.atomic import write_text
from episodes.datasets import dataset
from episodes.errors import UserError
from episodes.schema import dump
from episodes.split import Progress, SplitName, VideoFile

DATASET = "rendered"
SAMPLING = "segment-centres"


@dataclass(frozen=True)
class TrainingSet:
    """Decoded clips and their classes."""

    clips: Tensor
    """float16 (videos, 3, frames, size, size)"""
    labels: Tensor
    """int64 (videos,)"""
    classes: int


def load_training_set(backbone: Backbone, reporter: Reporter) -> TrainingSet:
    """Render, decode and normalise all training videos; validation and test are not touched."""
    files, labels, classes = prepared_videos("train", reporter)
    clips: list[Tensor] = []
    with reporter.stage("decode training videos") as progress:
        for _, clip in load_clips(files, backbone.input, SAMPLING):
            if isinstance(clip, UserError):
                raise clip
            clips.append(clip.half())
            progress(len(clips), len(files))
    return TrainingSet(torch.stack(clips), labels, len(classes))


def prepared_videos(
    name: SplitName, reporter: Reporter
) -> tuple[list[VideoFile], Tensor, Sequence[str]]:
    """Render a split: its files, the class of each as int64 (videos,), and the classes."""
    source = dataset(DATASET)
    split = source.split(name)
    with reporter.stage(f"prepare {name} videos") as progress:
        files = source.files(name, split.videos, progress)
    place = {label: index for index, label in enumerate(split.classes)}
    return files, torch.tensor([place[file.video.label] for file in files]), split.classes


def train_backbone(
    backbone_class: type[Backbone],
    recipe: BackboneRecipe,
    device: torch.device,
    out: Path,
    reporter: Reporter,
) -> Path:
    """Train a backbone and write its weights with their card.

    Returns:
        the path of the weights, ``out/NAME.safetensors``; the card lies beside it as ``.json``.

    Raises:
        UserError: the loss is no longer finite.
    """
    torch.manual_seed(recipe.seed)
    backbone = backbone_class()
    data = load_training_set(backbone, reporter)
    head = nn.Linear(backbone.channels, data.classes)
    model = nn.Sequential(backbone, _MeanOfMap(), nn.Dropout(recipe.dropout), head).to(device)
    with reporter.stage(f"train backbone {backbone.name}") as progress:
        accuracy = _fit(model, data, recipe, device, progress)
    return write_backbone(out, backbone, recipe, device, training_accuracy=round(accuracy, 4))


def write_backbone(
    out: Path,
    backbone: Backbone,
    recipe: BackboneRecipe | WordsRecipe,
    device: torch.device,
    **measured: Any,
) -> Path:
    """Write ``out/NAME.safetensors`` and its card, ``out/NAME.json``; return the former's path."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{backbone.name}.safetensors"
    weights = {name: tensor.cpu().contiguous() for name, tensor in backbone.state_dict().items()}
    save_tensors(path, weights)
    card = BackboneCard(
        file=path.name,
        sha256=file_sha256(path),
        bytes=path.stat().st_size,
        backbone=backbone.name,
        revision=backbone.revision,
        parameters=sum(parameter.numel() for parameter in backbone.parameters()),
        trained_on=TrainedOn.of(dataset(DATASET).split("train")),
        recipe=type(recipe)(**recipe.model_dump()),  # the card also states the defaults
        licence="Apache-2.0",
        device=describe_device(device),
        made_by=circumstances(device),
        **measured,
    )
    write_text(path.with_suffix(".json"), dump(card.content()))
    return path


class _MeanOfMap(nn.Module):
    """(videos, C, T, H, W) -> (videos, C)."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3, 4))


def _fit(
    model: nn.Module,
    data: TrainingSet,
    recipe: BackboneRecipe,
    device: torch.device,
    progress: Progress,
) -> float:
    """Take all steps; return the accuracy on the augmented clips of the last tenth of them."""
    model.train()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.peak_learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        recipe.peak_learning_rate,
        total_steps=recipe.steps,
        pct_start=min(recipe.warm_up_steps / recipe.steps, 0.5),
    )
    hits: list[float] = []
    for step, rows in enumerate(_batches(len(data.labels), recipe), start=1):
        changes = drawn_changes(len(rows), 2 * recipe.shift)
        clips = data.clips[rows].to(device).float()
        clips = augmented(clips, changes, recipe.shift, clips.shape[-1])
        labels = data.labels[rows].to(device)
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(clips)
        loss = nn.functional.cross_entropy(
            logits.float(), labels, label_smoothing=recipe.label_smoothing
        )
        if not torch.isfinite(loss):
            raise UserError(f"the loss is {loss.item()} at step {step}; try another --seed")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        hits.append((logits.argmax(dim=1) == labels).float().mean().item())
        progress(step, recipe.steps)
    last = hits[-max(1, recipe.steps // 10) :]
    return sum(last) / len(last)


def _batches(videos: int, recipe: BackboneRecipe) -> Iterator[Tensor]:
    """Yield one batch of rows per step; an epoch has every video once."""
    waiting = torch.empty(0, dtype=torch.int64)
    for _ in range(recipe.steps):
        if len(waiting) < recipe.batch_size:
            waiting = torch.cat([waiting, torch.randperm(videos)])
        yield waiting[: recipe.batch_size]
        waiting = waiting[recipe.batch_size :]
