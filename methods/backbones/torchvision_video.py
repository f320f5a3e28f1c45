"""The video ResNets of torchvision, where torchvision can be imported."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from bench.pretrained import CroppedInput, FromFile
from episodes.errors import UserError


class TorchvisionVideo(FromFile):
    """18 layers with kernels in three dimensions, in two and one, or mixed.

    Source: Tran, Wang, Torresani, Ray, LeCun, Paluri, CVPR 2018, arXiv:1711.11248.
    Differs: the classifier and the mean over all positions before it are left out.
    """

    revision = 1
    source = "Tran et al., CVPR 2018"
    pretraining = "Kinetics-400, with labels"
    seen = ("kinetics-400",)
    input = CroppedInput(
        16,
        112,
        (0.43216, 0.394666, 0.37645),
        (0.22803, 0.22145, 0.216989),
        resized=(128, 171),
    )
    channels = 512
    grid = (2, 7, 7)
    weights = (
        "fetched by torchvision from download.pytorch.org if no place is named, or"
        " --backbone NAME=FILE"
    )
    builder: ClassVar[str]
    """Name of the function in ``torchvision.models.video``."""

    def __init__(self) -> None:
        """Build the network with fresh weights."""
        super().__init__()
        network = getattr(_models().video, self.builder)()
        self.stem = network.stem
        self.layer1, self.layer2 = network.layer1, network.layer2
        self.layer3, self.layer4 = network.layer3, network.layer4

    @classmethod
    def default_file(cls) -> Path:
        """Return the published weights, fetched once into torch's folder."""
        url: str = _models().get_model_weights(cls.builder).DEFAULT.url
        path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
        if not path.is_file():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                # The end of the name is the beginning of the hash.
                torch.hub.download_url_to_file(url, str(path), path.stem.rpartition("-")[2])
            except (OSError, RuntimeError) as error:
                raise UserError(
                    f"{url} cannot be fetched ({error}); fetch it elsewhere, and say"
                    f" where it is: --backbone {cls.name}=FILE"
                ) from error
        if (
            not hashlib.sha256(path.read_bytes())
            .hexdigest()
            .startswith(path.stem.rpartition("-")[2])
        ):
            raise UserError(f"{path} is damaged: its hash is not that in its name; delete it")
        return path

    @classmethod
    def built_for(cls, weights: Mapping[str, Tensor]) -> Self:
        """Build the network; the classifier says what the weights have seen."""
        network = cls()
        classes = len(weights["fc.weight"]) if "fc.weight" in weights else 0
        if classes != 400:
            network.declare(pretraining=f"unknown data of {classes} classes", seen=None)
        return network

    def forward(self, clips: Tensor) -> Tensor:
        """(videos, 3, 16, 112, 112) -> (videos, 512, *grid)."""
        maps: Tensor = self.stem(clips)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = layer(maps)
        return maps.contiguous()


class TorchvisionR3d18(TorchvisionVideo):
    """Kernels in three dimensions."""

    name = "torchvision-r3d18"
    builder = "r3d_18"


class TorchvisionMc3(TorchvisionVideo):
    """Kernels in three dimensions at first, then in two: every frame keeps its place in time."""

    name = "torchvision-mc3-18"
    builder = "mc3_18"
    grid = (16, 7, 7)


class TorchvisionR2plus1d(TorchvisionVideo):
    """Factorised (2+1)D convolutions: spatial, then temporal."""

    name = "torchvision-r2plus1d-18"
    builder = "r2plus1d_18"


def _models() -> Any:
    """Import torchvision's models.

    Raises:
        UserError: it cannot be imported here.
    """
    try:
        import torchvision
    except (ImportError, RuntimeError, AttributeError) as error:
        raise UserError(
            f"torchvision cannot be imported here ({error}); install the build that belongs to this"
            " torch, see https://pytorch.org/get-started, or take r3d18, whose code is the"
            " program's own"
        ) from error
    return torchvision.models
