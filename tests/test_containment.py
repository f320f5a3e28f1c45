"""Methods that fail in every way: each is named with its reason, and the others go on."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.method import REGISTRY
from bench.plugins.registry import built_in_methods
from tests.command import call, fvbench, predictions

GOOD = ("protonet", "otam")
HEAD = """
import os, sys, time
import numpy as np
import torch
from bench.method import Method, register

class Base(Method):
    revision, source, differs, needs, order_aware = 1, "nobody", "nothing", "maps", False

    def encode(self, features):
        return features.flatten(2).mean(dim=2)

    def adapt(self, support):
        return support.mean(dim=2)

    def score(self, state, query):
        return query @ state.transpose(1, 2)
"""
# name -> (body of a class, words of the reason)
HOSTILE = {
    "raises": ("def score(self, s, q): raise ValueError('own words')", "ValueError: own words"),
    "raises-elsewhere": ("def adapt(self, support): return {}['no']", "hostile.py, line"),
    "exits": ("def score(self, s, q): sys.exit(0)", "SystemExit: 0"),
    "exits-while-built": ("def __init__(self, *words): sys.exit(3)", "SystemExit: 3"),
    "raises-a-base": ("def score(self, s, q): raise GeneratorExit", "GeneratorExit"),
    "recurses": ("def score(self, s, q): return self.score(s, q)", "RecursionError"),
    "wants-memory": ("def score(self, s, q): return torch.empty(1 << 60)", "RuntimeError"),
    "scores-nan": ("def score(self, s, q): return super().score(s, q) / 0 * 0", "not finite"),
    "scores-one-nan": (
        "def score(self, s, q):\n        r = super().score(s, q); r[-1, -1, -1] = torch.nan;"
        " return r",
        "not finite",
    ),
    "scores-too-few": ("def score(self, s, q): return super().score(s, q)[:, :-1]", "of shape"),
    "scores-transposed": (
        "def score(self, s, q): return super().score(s, q).mT[..., None]",
        "of shape",
    ),
    "scores-integers": (
        "def score(self, s, q): return super().score(s, q).long()",
        "of type torch.int64",
    ),
    "scores-nothing": ("def score(self, s, q): return None", "of type NoneType"),
    "encodes-too-few": (
        "def encode(self, x): return super().encode(x)[:-1]",
        "a row for each video",
    ),
    "encodes-one": ("def encode(self, x): return super().encode(x)[:1]", "a row for each video"),
    "encodes-a-scalar": ("def encode(self, x): return x.sum()", "a row for each video"),
    "encodes-a-list-of-numbers": (
        "def encode(self, x): return [1, 2]",
        "encode() returns a tensor",
    ),
    "encodes-no-tensors": ("def encode(self, x): return ()", "encode() returns a tensor"),
    "encodes-unevenly": (
        "calls = 0\n    def encode(self, x):\n        type(self).calls += 1\n"
        "        return super().encode(x)[:, : 90 + self.calls % 2]",
        "of another type or shape",
    ),
    "encodes-in-two-types": (
        "calls = 0\n    def encode(self, x):\n        type(self).calls += 1\n"
        "        return super().encode(x).to([torch.float32, torch.float64][self.calls % 2])",
        "of another type or shape",
    ),
    "changes-features": (
        "def encode(self, x):\n        x -= x.mean(dim=0)\n        return super().encode(x)",
        "in its encode()",
    ),
    "changes-features-later": (
        "def encode(self, x):\n        self.kept = x\n        return super().encode(x)\n"
        "    def score(self, s, q):\n        self.kept += 1\n        return super().score(s, q)",
        "in its adapt or score()",
    ),
    "changes-features-past-torch": (
        "def encode(self, x):\n        x.numpy()[:] = 0\n        return super().encode(x)",
        "past torch",
    ),
    "changes-the-default-type": (
        "def encode(self, x):\n        torch.set_default_dtype(torch.float64)\n"
        "        return super().encode(x)",
        "torch's default type",
    ),
    "changes-threads": (
        "def encode(self, x):\n        torch.set_num_threads(2)\n        return super().encode(x)",
        "torch's number of threads",
    ),
    "changes-the-folder": (
        "def encode(self, x):\n        os.chdir('/')\n        return super().encode(x)",
        "the current folder",
    ),
    "changes-what-numpy-raises": (
        "def encode(self, x):\n        np.seterr(all='raise')\n        return super().encode(x)",
        "numpy's handling of errors",
    ),
    "never-ends": ("def score(self, s, q):\n        while True: pass", "took longer than 1 s"),
    "sleeps": ("def score(self, s, q): time.sleep(1000)", "took longer than 1 s"),
    "catches-all-and-never-ends": (
        "def score(self, s, q):\n        while True:\n            try: time.sleep(0.01)\n"
        "            except Exception: pass",
        "took longer than 1 s",
    ),
}


built_in_methods()


@pytest.fixture(autouse=True)
def registry_as_it_was() -> Iterator[None]:
    kept = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(kept)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A file of hostile methods, which go before the good ones and between them."""
    classes = [
        f"@register\nclass Hostile{number}(Base):\n    name = 'a-{name}'\n    {body}\n"
        for number, (name, (body, _)) in enumerate(HOSTILE.items())
    ]
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "hostile.py").write_text("\n".join([HEAD, *classes]))
    return folder / "hostile.py"


def test_whatever_a_method_does_the_others_give_the_same_rows(
    tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bench.running.loop.ENCODE_CHUNK", 16)  # several, of few videos
    words = ("run", "--episodes", "4")
    assert call(*words, "--methods", ",".join(GOOD), "--out", tmp_path / "clean")[0] == 0
    names = [f"a-{name}" for name in HOSTILE]
    order = [names[0], GOOD[0], *names[1:-1], GOOD[1], names[-1]]
    words = (*words, "--methods", ",".join(order), "--plugin", plugin, "--time-limit", "1")
    status, said = call(*words, "--out", tmp_path / "out", "--report")
    assert status == 1, said
    assert "Traceback" not in said
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert sorted(row["method"] for row in summary["rows"]) == sorted(GOOD)
    reasons = {one["method"]: one["reason"] for one in summary["failed"]}
    assert reasons.keys() == set(names)
    page = (tmp_path / "out" / "report.html").read_text()
    for name, (_, words) in HOSTILE.items():
        assert words in reasons[f"a-{name}"]
        assert f"failed: a-{name} on default" in said
        assert f"a-{name} failed: " in page
    clean, beside = predictions(tmp_path / "clean"), predictions(tmp_path / "out")
    assert beside.keys() == set(GOOD)
    for name in GOOD:
        np.testing.assert_array_equal(clean[name], beside[name])
    # A table made later still says so.
    said = call("tables", tmp_path / "out")[1]
    assert "a-exits failed on default" in " ".join(said.split())


def test_a_method_that_works_again_is_run_again(tmp_path: Path):
    file = tmp_path / "mended.py"
    words = ("run", "--episodes", "4", "--methods", "mended,protonet", "--plugin", file)
    for body, status in (("raise ValueError", 1), ("return super().score(s, q)", 0)):
        text = "@register\nclass Mended(Base):\n    name = 'mended'\n"
        file.write_text(f"{HEAD}{text}    def score(self, s, q): {body}\n")
        found, said = call(*words, "--out", tmp_path / "out")
        assert found == status, said
        assert (tmp_path / "out" / "mended" / "failed.json").exists() == bool(status)
        assert (tmp_path / "out" / "mended" / "run.json").exists() == (not status)
        for name in [name for name in sys.modules if name.endswith(".mended")]:
            del sys.modules[name]


def test_if_all_methods_fail_nothing_else_is_said(tmp_path: Path, plugin: Path):
    words = ("--methods", "a-raises", "--plugin", plugin, "--out", tmp_path / "out")
    status, said = call("run", "--episodes", "4", *words)
    assert status == 1
    last = said.splitlines()[-1]
    assert last.startswith("failed: a-raises on default")
    assert last.endswith(f"ValueError: own words ({plugin.name}, line {_line(plugin)})")


def _line(plugin: Path) -> int:
    lines = plugin.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if "own words" in line)


LEARNS = """
    def __init__(self, shape, settings=None):
        super().__init__(shape, settings)
        self.map = torch.nn.Linear(shape.channels, 4)

    def loss(self, episodes):
        raise {error}
"""


@pytest.mark.parametrize("error", ["ValueError('own words')", "SystemExit(0)"])
def test_a_method_that_fails_in_training_is_named_in_a_line(
    error: str, tmp_path: Path, small_recipe: Path
):
    file = tmp_path / "fails.py"
    text = "@register\nclass Fails(Base):\n    name = 'fails'\n"
    file.write_text(f"{HEAD}{text}{LEARNS.format(error=error)}")
    words = ("--plugin", file, "--freeze-backbone", "--recipe", small_recipe)
    status, said = call("train", "fails", *words, "--out", tmp_path / "out")
    assert status == 2
    said = said.splitlines()[-1]
    assert said.startswith(f"error: method fails failed: {error.partition('(')[0]}")
    assert "(fails.py, line " in said


def test_a_method_that_ends_the_process_costs_its_own_run_alone(tmp_path: Path):
    file = tmp_path / "ends.py"
    text = "@register\nclass Ends(Base):\n    name = 'ends'\n"
    file.write_text(f"{HEAD}{text}    def score(self, s, q): os._exit(7)\n")
    words = ("run", "--episodes", "4", "--plugin", file, "--out", tmp_path / "out")
    ended = fvbench(*words, "--methods", "protonet,ends,otam")
    assert ended.returncode == 7
    before = (tmp_path / "out" / "protonet" / "run.json").stat().st_mtime_ns
    assert call(*words, "--methods", "protonet,otam")[0] == 0
    assert (tmp_path / "out" / "protonet" / "run.json").stat().st_mtime_ns == before
    assert set(predictions(tmp_path / "out")) == {"protonet", "otam"}
