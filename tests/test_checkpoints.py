"""Weights from files, ours and authors', and files that must not be trusted."""

import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch

from bench.conformance.parity import load_arrays
from bench.method import FeatureShape
from bench.plugins.registry import built_in_methods
from bench.reference import Golden, names_of
from bench.running.checkpoints import load_weights, read_weights
from episodes.errors import UserError
from tests.command import call, refused

SHAPE = FeatureShape(32, 1, 7, 7)
FILE = Path(__file__).parent / "golden" / "mastaf_5way1shot.npz"


@pytest.fixture
def authors() -> dict[str, torch.Tensor]:
    """MASTAF's weights as its authors' code names them."""
    return Golden(load_arrays(FILE)).weights("weight/")


def test_our_own_weights_come_back(tmp_path: Path):
    one, other = (built_in_methods()["mastaf"].build(SHAPE, seed) for seed in (0, 1))
    safetensors.torch.save_file(one.state_dict(), tmp_path / "mastaf.safetensors")
    load_weights(other, tmp_path / "mastaf.safetensors")
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"state_dict": w, "epoch": 3}])
def test_an_authors_checkpoint_loads_with_no_conversion(tmp_path: Path, authors, wrap):
    torch.save(
        wrap({f"module.{name}": tensor for name, tensor in authors.items()}), tmp_path / "a.pt"
    )
    method = built_in_methods()["mastaf"].build(SHAPE, 0)
    load_weights(method, tmp_path / "a.pt")
    loaded = method.state_dict()
    theirs, ours = next(iter(names_of(method).items()))
    assert torch.equal(loaded[ours].flatten(), authors[theirs].flatten())


class Evil:
    def __reduce__(self):
        return print, ("code of a stranger runs",)


def test_a_checkpoint_that_needs_pickle_is_refused(tmp_path: Path, capsys):
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"weights": Evil()}))
    with pytest.raises(UserError, match="save the weights alone"):
        read_weights(tmp_path / "evil.pt")
    assert "stranger" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("absent.pt", None, "no such file"), ("a.safetensors", b"no", "cannot be read")],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes, words: str):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_weights(tmp_path / name)


def test_a_text_is_no_file_of_weights(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("trained for a week")
    words = ("run", "--methods", "mastaf", "--episodes", "4", "--out", tmp_path / "out")
    said = refused(*words, "--weights", tmp_path / "notes.txt")
    assert "notes.txt is no file of weights" in said


def test_weights_of_another_method_are_refused(tmp_path: Path):
    torch.save({"x": torch.zeros(3)}, tmp_path / "x.pt")
    for name in ("mastaf", "meta-baseline"):
        method = built_in_methods()[name].build(SHAPE, 0)
        with pytest.raises(UserError, match="check that it belongs to this method"):
            load_weights(method, tmp_path / "x.pt")


def test_a_method_without_weights_takes_none(tmp_path: Path):
    torch.save({"x": torch.zeros(3)}, tmp_path / "x.pt")
    with pytest.raises(UserError, match="has no weights to load"):
        load_weights(built_in_methods()["protonet"].build(SHAPE, 0), tmp_path / "x.pt")
    words = ("run", "--methods", "protonet", "--weights", tmp_path / "x.pt", "--episodes", "4")
    assert "has no weights to load" in call(*words, "--out", tmp_path / "out")[1]


def test_a_run_with_weights_is_no_longer_untrained(tmp_path: Path):
    method = built_in_methods()["mastaf"].build(FeatureShape(96, 8, 6, 6), 3)
    path = tmp_path / "mastaf.safetensors"
    safetensors.torch.save_file(method.state_dict(), path)
    words = ("run", "--episodes", "4", "--weights", path, "--out", tmp_path / "out")
    status, text = call(*words, "--methods", "mastaf")
    assert (status, "untrained" in text) == (0, False)
    assert "name one" in refused(*words, "--methods", "mastaf,otam")


def test_a_folder_without_weights_of_any_method_is_refused(tmp_path: Path):
    text = refused("run", "--methods", "mastaf,otam", "--weights", tmp_path, "--out", tmp_path)
    assert "holds no weights of mastaf, otam" in text
    assert "writes into its --out; name that folder" in text
