"""Training the text tower that reads the names of rendered motions: `fvbench train words`."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from bench.features.backbones import LoadedBackbone, load_backbone
from bench.features.embedding import embedded_together
from bench.features.text import names_of_classes
from bench.machine.device import describe_device
from bench.machine.progress import Reporter
from bench.pretrained import save_tensors
from bench.runs.circumstances import circumstances
from bench.weights.cards import BackboneCard, TrainedOn, Vision, file_sha256
from episodes.atomic import write_text
from episodes.datasets import dataset
from episodes.decoding.readings import Readings
from episodes.schema import Model, dump
from episodes.split import SplitName
from methods.backbones.motion import MotionNet
from methods.backbones.motion_words import MotionWords, words_of

DATASET, SAMPLING = "rendered", "segment-centres"


class WordsRecipe(Model):
    """How the text tower is trained; the vision tower stays as it is."""

    seed: int = 0
    """Of weights and batches."""
    steps: int = 300
    """Of the optimiser, AdamW."""
    batch_size: int = 256
    """Videos in a step."""
    learning_rate: float = 3e-3
    """At the first step; it falls to 0 along a cosine."""
    weight_decay: float = 0.5
    """Weight decay."""
    scale: float = 20.0
    """Factor of the cosine between mean frame and name in the loss."""


def train_words(recipe: WordsRecipe, device: torch.device, out: Path, reporter: Reporter) -> Path:
    """Train the text tower on the training classes and write both towers with their card.

    The loss is the cross-entropy of each video among the names of all training classes. Test
    classes are not touched; validation classes are looked at once, for the card.

    Returns:
        the path of the weights.
    """
    torch.manual_seed(recipe.seed)
    vision, backbone = load_backbone(MotionNet.name, device), MotionWords().to(device).eval()
    backbone.load_state_dict(vision.backbone.state_dict(), strict=False)
    videos, labels, names = _videos(vision, "train", device, reporter)
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
    save_tensors(
        path, {name: one.cpu().contiguous() for name, one in backbone.state_dict().items()}
    )
    card = BackboneCard(
        file=path.name,
        sha256=file_sha256(path),
        bytes=path.stat().st_size,
        backbone=backbone.name,
        revision=backbone.revision,
        vision=Vision(backbone=MotionNet.name, sha256=vision.weights_sha256),
        parameters=sum(parameter.numel() for parameter in backbone.parameters()),
        trained_on=TrainedOn.of(dataset(DATASET).split("train")),
        recipe=recipe.model_dump(),
        training_accuracy=_accuracy(backbone, videos, labels, names),
        validation_accuracy=_accuracy(backbone, *_videos(vision, "val", device, reporter)),
        licence="Apache-2.0",
        device=describe_device(device),
        made_by=circumstances(device),
    )
    write_text(path.with_suffix(".json"), dump(card.content()))
    return path


def _cosines(videos: Tensor, names: Tensor) -> Tensor:
    """(videos, C), (names, C) -> (videos, names)."""
    return cosine_similarity(videos[:, None], names[None], dim=-1)


@torch.no_grad()
def _accuracy(backbone: MotionWords, videos: Tensor, labels: Tensor, names: list[str]) -> float:
    """Share of videos whose own name is the nearest among the names of all classes."""
    nearest = _cosines(videos, backbone.encode_text(names)).argmax(dim=1)
    return round(float((nearest == labels).float().mean()), 4)


def _videos(
    vision: LoadedBackbone, name: SplitName, device: torch.device, reporter: Reporter
) -> tuple[Tensor, Tensor, list[str]]:
    """Mean frame of every video of a split (videos, C), its class, and the names of all classes."""
    source = dataset(DATASET)
    split = source.split(name)
    with reporter.stage(f"prepare {name} videos") as progress:
        files = source.files(name, split.videos, progress)
    with reporter.stage(f"embed {name} videos") as progress:
        (store,) = embedded_together([vision], SAMPLING, files, device, progress)
    key = Readings(vision.decoder).key
    maps = torch.from_numpy(store.read([key(file) for file in files]))
    place = {label: index for index, label in enumerate(split.classes)}
    labels = torch.tensor([place[file.video.label] for file in files])
    names = names_of_classes(source, split.classes)
    return maps.mean(dim=(2, 3, 4)).to(device), labels.to(device), names
