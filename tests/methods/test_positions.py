from pathlib import Path

import pytest
import torch

from methods.parts.positions import hyrsm_positions, usual_positions

GOLDEN = Path(__file__).parents[1] / "golden"


def usual_table(frames, channels, dtype=torch.float64):
    return usual_positions(torch.zeros(frames, channels, dtype=dtype), scale=1.0)


def hyrsm_table(frames, channels, dtype=torch.float64):
    return hyrsm_positions(torch.zeros(frames, channels, dtype=dtype), 10.0, table_scale=1.0)


def test_first_rows_do_not_depend_on_the_number_of_frames():
    for table in (usual_table, hyrsm_table):
        torch.testing.assert_close(table(20, 9)[:8], table(8, 9))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_table_is_of_the_kind_asked_for(dtype):
    assert usual_table(8, 6, dtype).dtype == dtype
    assert hyrsm_table(8, 6, dtype).dtype == dtype
