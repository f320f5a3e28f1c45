"""Kinetics-100, the split of CMN: 64 training, 12 validation and 24 test classes of 100 videos."""

from episodes.datasets.published import Published
from episodes.disk.locating import of_kinetics

DATASET = Published(
    name="kinetics-100",
    also_called=("K100",),
    description="Kinetics, split of CMN: 64 train, 12 val, 24 test classes of 100 videos",
    how_to_get=(
        "Fetch the videos of Kinetics-400, training and validation both, for example with"
        " https://github.com/cvdfoundation/kinetics-dataset: CLASS/ID_000010_000020.mp4. Some are"
        " gone for good. The few-shot lists: git clone https://github.com/tobyperrett/trx, FOLDER"
        " is trx/splits/kinetics_CMN."
    ),
    names=of_kinetics,
)
