"""The backbone of the rendered data set with a text tower that reads the names of its motions.

A small stand-in for CLIP that needs no download: it tells what names are worth on rendered motion,
where every word's meaning is known. The vision tower is that of `motion`, weight for weight, and
stays frozen while the text tower learns to point at it (locked-image tuning, Zhai et al., CVPR
2022, arXiv:2111.07991). So features, and every row of a method that reads no names, are those of
`motion`.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from methods.backbones.motion import MotionNet

VOCABULARY = (
    "appear arc blink clockwise counter down drop grow in leave left move orbit out push reach"
    " right shake shrink spin spiral swap then turn unturn up vanish"
)
WORDS = VOCABULARY.split()
"""The tower's vocabulary: the words of the rendered motions. Others are skipped."""
LONGEST = 8
"""Words that are read of a name; the rest is cut off."""


class TextTower(nn.Module):
    """Words in their order, read by a recurrent network: (texts, words) -> (texts, channels)."""

    def __init__(self, channels: int, width: int = 64) -> None:
        """Build the tower with fresh weights; word 0 is padding."""
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS) + 1, width, padding_idx=0)
        self.reader = nn.GRU(width, width, batch_first=True)
        self.project = nn.Linear(width, channels)

    def forward(self, words: Tensor) -> Tensor:
        """int64 (texts, LONGEST), 0 behind the last word -> float32 (texts, channels)."""
        states, _ = self.reader(self.embedding(words))
        last = words.ne(0).sum(dim=1).clamp(min=1) - 1
        found: Tensor = self.project(states[torch.arange(len(words)), last])
        return found


class MotionWords(MotionNet):
    """`MotionNet` and a text tower beside it."""

    name = "motion-words"
    revision = 1
    source = "this project: `fvbench train words`"
    pretraining = "the 64 training classes of the rendered dataset, with labels and names"
    prompt = "{}"

    def __init__(self) -> None:
        """Build both towers with fresh weights."""
        super().__init__()
        self.text = TextTower(self.channels)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Return (texts, 96)."""
        device = next(self.parameters()).device
        found: Tensor = self.text(words_of(texts).to(device))
        return found


def words_of(texts: Sequence[str]) -> Tensor:
    """Numbers of the words in each text: int64 (texts, LONGEST), 0 behind the last one.

    >>> words_of(["grow then shake"]).tolist()
    [[8, 23, 18, 0, 0, 0, 0, 0]]
    """
    number = {word: index for index, word in enumerate(WORDS, start=1)}
    found = ([number.get(word) for word in re.findall(r"[^\W_]+", one.casefold())] for one in texts)
    rows = [[word for word in row if word][:LONGEST] for row in found]
    return torch.tensor([row + [0] * (LONGEST - len(row)) for row in rows])
