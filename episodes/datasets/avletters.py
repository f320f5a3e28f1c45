"""AVLetters: ten people say each letter from A to Z three times; only their lips are visible.

Every speaker says every letter in the same setting, so appearance identifies the speaker and not
the letter. There is no published few-shot split. The letters are split into 14 training, 4
validation and 8 test classes in the order of the sha256 of their names (`episodes.banks.facts_of`).

Source: Matthews, Cootes, Bangham, Cox and Harvey, "Extraction of visual features for lipreading",
IEEE Transactions on Pattern Analysis and Machine Intelligence 24(2), 2002.
"""

import re
from collections.abc import Collection, Iterable

from episodes.datasets.published import Published
from episodes.disk.lists import without_suffix

TAKES = (1, 2, 3)
"""Each speaker says each letter three times."""
LAYOUTS = (
    re.compile(r"(?:.*/)?(?P<letter>[A-Z])(?P<take>\d)_(?P<speaker>[A-Za-z]+)(?:-lips)?"),
    re.compile(r"(?:.*/)?(?P<letter>[A-Z])/(?P<speaker>[A-Za-z]+)/(?P=speaker)_(?P<take>\d)"),
)
"""``A1_Anya-lips``, as the original files are called, and ``A/Anya/Anya_1``."""


def identify(path: str) -> tuple[str, str] | None:
    """Return the letter and the name of a clip, which is that of the original file without suffix.

    >>> identify("Lips/A1_Anya-lips.mp4"), identify("A/Anya/Anya_1.mp4"), identify("A/notes.mp4")
    (('A', 'A1_Anya'), ('A', 'A1_Anya'), None)
    """
    for layout in LAYOUTS:
        if match := layout.fullmatch(without_suffix(path)):
            return match["letter"], f"{match['letter']}{match['take']}_{match['speaker']}"
    return None


def speaker(label: str, name: str) -> str:
    """Return who speaks.

    >>> speaker("A", "A1_Anya")
    'Anya'
    """
    return name.partition("_")[2]


def clips(label: str, found: Collection[str]) -> Iterable[str]:
    """Name all clips of a letter: each speaker found in a copy says it three times."""
    speakers = {speaker(label, name) for name in found}
    return (f"{label}{take}_{who}" for who in speakers for take in TAKES)


DATASET = Published(
    name="avletters",
    description="AVLetters, talking lips: 14 train, 4 val, 8 test classes of 30 videos",
    how_to_get=(
        "Ask the authors, Matthews et al., for it. The original Lips/A1_NAME-lips.mat become"
        " folders of frames by `python -m episodes.decoding.matlab_frames Lips PATH`;"
        " LETTER/NAME/NAME_1.mp4 is known too."
    ),
    group=speaker,
    identify=identify,
    derivable=True,
    naming_rule=clips,
)
