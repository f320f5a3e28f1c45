"""The reference files, output by output, for the tests of single methods."""

from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.plugins.registry import import_reproductions
from bench.reference import REPRODUCTIONS, Golden

FOLDER = Path(__file__).parents[1] / "golden"
INPUTS = ("*weight/*", "*/permutations", "*/scale", "*/transductive_fraction")
"""Keys with a slash that are given to a method, not made by it."""


def load(file: str) -> Golden:
    with np.load(FOLDER / file) as arrays:
        return Golden(dict(arrays))


def outputs(family: str, *leave_out: str) -> list:
    """One pytest parameter (file, output) for each output in the files called ``family``_*."""
    found = []
    for path in sorted(FOLDER.glob(f"{family}_*.npz")):
        with np.load(path) as arrays:
            names = [name for name in arrays.files if "/" in name]
        found += [
            pytest.param(path.name, name, id=f"{path.stem}:{name}")
            for name in names
            if not any(fnmatchcase(name, pattern) for pattern in (*INPUTS, *leave_out))
        ]
    assert found, f"no reference file of {family}"
    return found


def assert_reproduced(file: str, output: str) -> None:
    """Exactly one function reproduces the output, in its shape and within its tolerance."""
    import_reproductions()
    golden = load(file)
    ways = [way for way in REPRODUCTIONS if way.fits(golden, output)]
    assert len(ways) == 1, [way.compute for way in ways]
    with torch.no_grad():
        ours = ways[0].compute(golden, output)
    theirs = torch.from_numpy(np.asarray(golden.arrays[output])).to(ours.dtype)
    torch.testing.assert_close(ours, theirs, atol=ways[0].tolerance, rtol=0)
