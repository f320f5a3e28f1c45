"""Training the text tower that reads the names of rendered motions: `fvbench train words`."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from bench.features.backbones import LoadedBackbone, load_backbone
from bench.features.embedding import embedded_together
from bench.features.text import names_of_classes
from bench.machine.progress import Reporter
from bench.training.backbone import DATASET, SAMPLING, prepared_videos, write_backbone
from bench.weights.backbone_card import Vision, WordsRecipe
from episodes.datasets import dataset
from episodes.decoding.readings import Readings
from episodes.split import SplitName
from methods.backbones.motion import MotionNet
from methods.backbones.motion_words import MotionWords, words_of


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
    files, labels, classes = prepared_videos(name, reporter)
    with reporter.stage(f"embed {name} videos") as progress:
        (store,) = embedded_together([(vision, SAMPLING)], files, device, progress)
    key = Readings(vision.decoder).key
    maps = torch.from_numpy(store.read([key(file) for file in files]))
    names = names_of_classes(dataset(DATASET), classes)
    return maps.mean(dim=(2, 3, 4)).to(device), labels.to(device), names
