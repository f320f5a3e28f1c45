"""The curve of a training for TensorBoard, where that is installed."""

import importlib.util
from pathlib import Path

import pandas as pd

from bench.training.outcome import CURVE
from episodes.errors import UserError


def check_tensorboard() -> None:
    """Refuse before the training, not after it.

    Raises:
        UserError: the package is missing.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError(
            "--tensorboard needs the package tensorboard, which is not installed:"
            " `pip install fewshot-video-bench[tensorboard]`; train.csv is written in any case"
        )


def write_tensorboard(folder: Path) -> None:
    """Write ``train.csv`` of a finished training as an event file beside it."""
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra

    curve = pd.read_csv(folder / CURVE)
    with SummaryWriter(str(folder)) as writer:
        for name in curve.columns.drop("step"):
            for step, value in curve[["step", name]].dropna().itertuples(index=False):
                writer.add_scalar(name, value, int(step))
