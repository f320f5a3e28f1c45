"""Something-Something V2 with the split of CMN, called SSv2-part or SSv2-Small."""

from episodes.datasets.published import Published
from episodes.datasets.ssv2_all import HOW_TO_GET

DATASET = Published(
    name="ssv2-part",
    also_called=("SSv2-Small",),
    description=(
        "Something-Something V2, split of CMN (SSv2-part, SSv2-Small): 64 train, 12 val, 24 test"
        " classes of 100 videos"
    ),
    how_to_get=HOW_TO_GET.format(lists="ssv2_CMN"),
    directional=True,
)
