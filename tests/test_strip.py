"""The strip of frames of an episode."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.report.charts.strip import FRAMES, strip
from episodes.banks.bank import open_bank
from episodes.datasets.adding import add_dataset
from episodes.errors import UserError
from tests.test_real_datasets import gestures

pytestmark = pytest.mark.usefixtures("own_config")


def test_a_row_for_each_class_its_query_beside_it_and_frames_in_order(tmp_path: Path):
    add_dataset("egogestar", gestures(tmp_path / "data").root, None, trust=False)
    bank = open_bank("egogestar-5w1s-test", 3)
    one_class = replace(bank.episodes, labels=np.zeros_like(bank.episodes.labels))
    figure = strip(replace(bank, episodes=one_class))
    images = [axes.images[0].get_array() for axes in figure.axes]
    assert len(images) == 5 * FRAMES
    named = {text.get_text() for text in figure.texts}
    assert named == {"support"} | {
        bank.split.videos[index].label for index in bank.episodes.support[0, :, 0]
    }
    row = np.stack(images[:FRAMES])
    assert len(np.unique(row.reshape(FRAMES, -1), axis=0)) == FRAMES

    figure = strip(bank)
    assert {"support", "query"} <= {text.get_text() for text in figure.texts}
    places = [axes.get_position() for axes in figure.axes]
    rows = [round(place.y0, 6) for place in places]
    half = len(rows) // 2
    assert rows[:half] == rows[half:]  # class by class at the same height
    assert max(one.x1 for one in places[:half]) < min(one.x0 for one in places[half:])


def test_a_video_that_is_not_here_is_one_message():
    with pytest.raises(UserError, match="not here yet"):
        strip(open_bank("egogestar-5w1s-test", 1, without_list=True))
