"""Training the two backbones of the rendered dataset, as `fvbench train-backbone` does.

``motion`` learns plain classification of the training classes; ``motion-words`` has its vision
tower, and a text tower that learns to read the names of motions. The number of steps is fixed, so
that the same seed on the same machine gives the same weights however busy the machine is.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from bench.backbone import Backbone
from bench.features.backbones import LoadedBackbone, load_backbone
from bench.features.clips import load_clips
from bench.features.embedding import embedded_together
from bench.features.text import names_of_classes
from bench.machine.device import describe_device
from bench.machine.progress import Reporter
from bench.pretrained import save_tensors
from bench.runs.circumstances import circumstances
from bench.training.clips import augmented, drawn_changes
from bench.weights.backbone_card import BackboneCard, BackboneRecipe, Vision, WordsRecipe
from bench.weights.cards import TrainedOn, file_sha256
from episodes.atomic import write_text
from episodes.datasets import dataset
from episodes.errors import UserError
from episodes.schema import dump
from episodes.split import Progress, SplitName, VideoFile
from methods.backbones.motion import MotionNet
from methods.backbones.motion_words import MotionWords, words_of

DATASET = "rendered"
SAMPLING = "segment-centres"


def prepared_videos(name: SplitName, reporter: Reporter) -> tuple[list[VideoFile], Tensor]:
    """Render a split: its files, and the class of each, int64 (videos,)."""
    source = dataset(DATASET)
    split = source.split(name)
    with reporter.stage(f"prepare {name} videos") as progress:
        files = source.files(name, split.videos, progress)
    place = {label: index for index, label in enumerate(split.classes)}
    return files, torch.tensor([place[file.video.label] for file in files])


def load_training_set(reporter: Reporter) -> tuple[Tensor, Tensor]:
    """Decode and normalise all training videos; validation and test are not touched.

    Returns:
        clips, float16 (videos, 3, frames, size, size), and the class of each, int64 (videos,).
    """
    files, labels = prepared_videos("train", reporter)
    clips: list[Tensor] = []
    with reporter.stage("decode training videos") as progress:
        for _, clip in load_clips(files, MotionNet.input, SAMPLING):
            if isinstance(clip, UserError):
                raise clip
            clips.append(clip.half())
            progress(len(clips), len(files))
    return torch.stack(clips), labels


def train_motion(
    recipe: BackboneRecipe, device: torch.device, out: Path, reporter: Reporter
) -> Path:
    """Train the backbone `motion` and write its weights with their card.

    Returns:
        the path of the weights, ``out/motion.safetensors``; the card lies beside it as ``.json``.

    Raises:
        UserError: the loss is no longer finite.
    """
    torch.manual_seed(recipe.seed)
    backbone = MotionNet()
    clips, labels = load_training_set(reporter)
    head = nn.Linear(backbone.channels, int(labels.max()) + 1)
    model = nn.Sequential(backbone, _MeanOfMap(), nn.Dropout(recipe.dropout), head).to(device)
    with reporter.stage(f"train backbone {backbone.name}") as progress:
        accuracy = _fit(model, clips, labels, recipe, progress)
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
    model: nn.Module, clips: Tensor, labels: Tensor, recipe: BackboneRecipe, progress: Progress
) -> float:
    """Take all steps; return the accuracy on the augmented clips of the last tenth of them."""
    device = next(model.parameters()).device
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
    for step, rows in enumerate(_batches(len(labels), recipe), start=1):
        changes = drawn_changes(len(rows), 2 * recipe.shift)
        batch = clips[rows].to(device).float()
        batch = augmented(batch, changes, recipe.shift, clips.shape[-1])
        expected = labels[rows].to(device)
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(batch)
        loss = cross_entropy(logits.float(), expected, label_smoothing=recipe.label_smoothing)
        if not torch.isfinite(loss):
            raise UserError(f"the loss is {loss.item()} at step {step}; try another --seed")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        hits.append((logits.argmax(dim=1) == expected).float().mean().item())
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


def train_words(recipe: WordsRecipe, device: torch.device, out: Path, reporter: Reporter) -> Path:
    """Train the text tower on the training classes; return the path of both towers' weights.

    The loss is the cross-entropy of each video over the names of all training classes. Test
    classes are not touched; validation accuracy is measured once, for the card.
    """
    torch.manual_seed(recipe.seed)
    vision, backbone = load_backbone(MotionNet.name, device), MotionWords().to(device).eval()
    backbone.load_state_dict(vision.backbone.state_dict(), strict=False)
    videos, labels, names = videos_of(vision, "train", device, reporter)
    held_out = videos_of(vision, "val", device, reporter)
    words = words_of(names).to(device)
    optimiser = torch.optim.AdamW(
        backbone.text.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    with reporter.stage("train text tower") as progress:
        for step in range(recipe.steps):
            rows = torch.randint(len(videos), (recipe.batch_size,))
            logits = recipe.scale * _cosines(videos[rows], backbone.text(words))
            loss = cross_entropy(logits, labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            progress(step + 1, recipe.steps)
    return write_backbone(
        out,
        backbone,
        recipe,
        device,
        vision=Vision(backbone=MotionNet.name, sha256=vision.weights_sha256),
        training_accuracy=_accuracy(backbone, videos, labels, names),
        validation_accuracy=_accuracy(backbone, *held_out),
    )


def _cosines(videos: Tensor, names: Tensor) -> Tensor:
    """(videos, C), (names, C) -> (videos, names)."""
    return cosine_similarity(videos[:, None], names[None], dim=-1)


@torch.no_grad()
def _accuracy(backbone: MotionWords, videos: Tensor, labels: Tensor, names: list[str]) -> float:
    """Fraction of the videos whose nearest name is that of their class."""
    nearest = _cosines(videos, backbone.encode_text(names)).argmax(dim=1)
    return round(float((nearest == labels).float().mean()), 4)


def videos_of(
    vision: LoadedBackbone, name: SplitName, device: torch.device, reporter: Reporter
) -> tuple[Tensor, Tensor, list[str]]:
    """Mean frame (videos, C) and class of every video of a split, and the names of all classes."""
    files, labels = prepared_videos(name, reporter)
    with reporter.stage(f"embed {name} videos") as progress:
        (store,) = embedded_together([(vision, SAMPLING)], files, device, progress)
    maps = torch.from_numpy(store.read(vision.keys(files)))
    names = names_of_classes(dataset(DATASET), dataset(DATASET).split(name).classes)
    return maps.mean(dim=(2, 3, 4)).to(device), labels.to(device), names
