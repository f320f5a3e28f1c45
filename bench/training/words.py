"""Training the text tower that reads the names of rendered motions: `fvbench train words`."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from bench.backbones import weights_path
from bench.cards import file_sha256
from bench.circumstances import circumstances
from bench.clips import load_clips
from bench.device import describe_device
from bench.progress import Reporter
from bench.run_directory import dump
from episodes.atomic import replacing, write_text
from episodes.class_names import class_names
from episodes.datasets import dataset
from episodes.errors import UserError
from episodes.split import SplitName
from methods.backbones.motion import MotionNet
from methods.backbones.motion_words import MotionWords, words_of

DATASET = "rendered"


@dataclass(frozen=True)
class WordsRecipe:
    """How the text tower is trained; the vision tower stays as it is."""

    seed: int = 0
    steps: int = 300
    batch_size: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 0.5
    scale: float = 20.0
    """Factor of the cosine between mean frame and name in the loss."""


def train_words(recipe: WordsRecipe, device: torch.device, out: Path, reporter: Reporter) -> Path:
    """Train the text tower on the training classes and write both towers with their card.

    The loss is the cross-entropy of each video among the names of all training classes. Test
    classes are not touched; validation classes are looked at once, for the card.

    Returns:
        the path of the weights.
    """
    backbone = MotionWords()
    vision = safetensors.torch.load_file(weights_path(MotionNet.name))
    backbone.load_state_dict(vision, strict=False)
    backbone.eval().to(device)
    torch.manual_seed(recipe.seed)
    videos, labels, names = _videos(backbone, "train", device, reporter)
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
    path = out / f"{backbone.name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        weights = {name: one.cpu().contiguous() for name, one in backbone.state_dict().items()}
        safetensors.torch.save_file(weights, unfinished)
    split = dataset(DATASET).split("train")
    card = {
        "file": path.name,
        "sha256": file_sha256(path),
        "bytes": path.stat().st_size,
        "backbone": backbone.name,
        "revision": backbone.revision,
        "vision": {"backbone": "motion", "sha256": file_sha256(weights_path(MotionNet.name))},
        "parameters": sum(parameter.numel() for parameter in backbone.parameters()),
        "trained_on": {
            "dataset": DATASET,
            "split": "train",
            "split_sha256": split.sha256,
            "classes": len(split.classes),
            "videos": len(split.videos),
        },
        "recipe": asdict(recipe),
        "training_accuracy": _accuracy(backbone, videos, labels, names),
        "validation_accuracy": _accuracy(backbone, *_videos(backbone, "val", device, reporter)),
        "licence": "Apache-2.0",
        "device": describe_device(device),
        "made_by": circumstances(device),
    }
    write_text(path.with_suffix(".json"), dump(card))
    return path


def _cosines(videos: Tensor, names: Tensor) -> Tensor:
    """(videos, C), (names, C) -> (videos, names)."""
    return cosine_similarity(videos[:, None], names[None], dim=-1)


@torch.no_grad()
def _accuracy(backbone: MotionWords, videos: Tensor, labels: Tensor, names: list[str]) -> float:
    """Share of videos whose own name is the nearest among the names of all classes."""
    nearest = _cosines(videos, backbone.encode_text(names)).argmax(dim=1)
    return round(float((nearest == labels).float().mean()), 4)


@torch.no_grad()
def _videos(
    backbone: MotionWords, name: SplitName, device: torch.device, reporter: Reporter
) -> tuple[Tensor, Tensor, list[str]]:
    """Mean frame of every video of a split (videos, C), its class, and the names of all classes."""
    source = dataset(DATASET)
    split = source.split(name)
    with reporter.stage(f"prepare {name} videos") as progress:
        files = source.files(name, split.videos, progress)
    means: list[Tensor] = []
    with reporter.stage(f"embed {name} videos") as progress:
        for _, clip in load_clips(files, backbone.input, "segment-centres"):
            if isinstance(clip, UserError):
                raise clip
            means.append(backbone(clip[None].to(device)).mean(dim=(2, 3, 4)))
            progress(len(means), len(files))
    place = {label: index for index, label in enumerate(split.classes)}
    labels = torch.from_numpy(np.array([place[file.video.label] for file in files])).to(device)
    names = class_names(source.name, split.classes)
    return torch.cat(means), labels, [names[label] for label in split.classes]
