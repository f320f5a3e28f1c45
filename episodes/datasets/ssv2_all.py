"""Something-Something V2 with the split of OTAM, called SSv2-all or SSv2-Full."""

from episodes.datasets.published import Published

HOW_TO_GET = (
    "Fetch Something-Something V2 (20 GB) from"
    " https://www.qualcomm.com/developer/software/something-something-v-2-dataset and unpack it:"
    " 20bn-something-something-v2/ID.webm. The few-shot lists: git clone"
    " https://github.com/tobyperrett/trx, FOLDER is trx/splits/{lists}."
)

DATASET = Published(
    name="ssv2-all",
    also_called=("SSv2-Full",),
    description=(
        "Something-Something V2, split of OTAM (SSv2-all, SSv2-Full): 64 train, 12 val, 24 test"
        " classes, 71,796 videos"
    ),
    how_to_get=HOW_TO_GET.format(lists="ssv2_OTAM"),
    directional=True,
)
