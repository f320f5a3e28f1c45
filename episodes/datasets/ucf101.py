"""UCF101 with the split of ARN: 70 training, 10 validation and 21 test classes."""

import re

from episodes.datasets.published import Published


def recording(label: str, name: str) -> str:
    """Return the group: UCF101 numbers 25 recordings in every class.

    >>> recording("HandstandPushups", "v_HandStandPushups_g07_c02")
    'g07'
    """
    match = re.search(r"_(g\d+)_c\d+$", name)
    return match[1] if match else name


DATASET = Published(
    name="ucf101",
    description="UCF101, split of ARN: 70 train, 10 val, 21 test classes, 13,320 videos",
    how_to_get=(
        "Fetch UCF101.rar (6.5 GB) from https://www.crcv.ucf.edu/data/UCF101.php and unpack it:"
        " UCF-101/CLASS/v_CLASS_g01_c01.avi."
    ),
    group=recording,
    derivable=True,
)
