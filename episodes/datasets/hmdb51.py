"""HMDB51 with the split of ARN: 31 training, 10 validation and 10 test classes."""

from episodes.datasets import groups
from episodes.datasets.published import Published

DATASET = Published(
    name="hmdb51",
    description="HMDB51, split of ARN: 31 train, 10 val, 10 test classes, 6,766 videos",
    how_to_get=(
        "Fetch hmdb51_org.rar from"
        " https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/ and unpack"
        " it, then the rar of each class in it: hmdb51_org/CLASS/NAME.avi."
    ),
    group=groups.of_hmdb51,
    derivable=True,
)
