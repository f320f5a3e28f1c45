"""The published lists themselves, where they are at hand.

They carry no licence, so they do not come with the program. Where ``FVBENCH_LISTS`` names a folder
with the folders ``ucf101_ARN``, ``hmdb51_ARN``, ``ssv2_CMN``, ``ssv2_OTAM`` and ``kinetics_CMN``,
each with train.txt, val.txt and test.txt as TRX has them, everything is checked against them: trees
with every real name are made of hard links, registered, verified and evaluated.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from episodes.banks.bank import open_bank
from episodes.banks.recipe import read_recipe, recipe_names
from episodes.datasets import dataset
from episodes.datasets.adding import add_dataset
from episodes.disk.facts import facts
from tests.command import call, predictions, succeeds
from tests.layouts import SUFFIX, Tree, own_registrations

LISTS = Path(os.environ.get("FVBENCH_LISTS", "lists that nobody named"))
FOLDERS = {
    "ucf101": "ucf101_ARN",
    "hmdb51": "hmdb51_ARN",
    "ssv2-part": "ssv2_CMN",
    "ssv2-all": "ssv2_OTAM",
    "kinetics-100": "kinetics_CMN",
}
PLACES = {
    "ucf101": "UCF-101/{label}/{video}",
    "hmdb51": "hmdb51_org/{label}/{video}",
    "ssv2-part": "20bn-something-something-v2/{video}",
    "ssv2-all": "20bn-something-something-v2/{video}",
    "kinetics-100": "{split}/{label}/{video}",
}

pytestmark = pytest.mark.skipif(
    not LISTS.is_dir(), reason="FVBENCH_LISTS names no folder with the published lists"
)


@pytest.fixture(scope="module", params=sorted(FOLDERS))
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dataset with every real name, registered."""
    name, base = request.param, tmp_path_factory.mktemp(request.param)
    tree = Tree(base / "data")
    for split in ("train", "val", "test"):
        for line in (LISTS / FOLDERS[name] / f"{split}.txt").read_text().splitlines():
            label, video = line.split("/")
            place = PLACES[name].format(split=split, label=label, video=video)
            if not (tree.root / f"{place}{SUFFIX[name]}").exists():
                tree.add(place, SUFFIX[name])
    with own_registrations(base / "config"):
        lists = None if name in {"ucf101", "hmdb51"} else LISTS / FOLDERS[name]
        added = add_dataset(name, tree.root, lists, trust=False)
        assert not added.unknown
        yield name


def test_splits_are_the_published_ones(name: str):
    for split, known in facts(name).splits.items():
        assert dataset(name).split(split).sha256 == known.sha256


def test_a_folder_and_the_lists_give_the_same_splits(name: str, tmp_path: Path):
    root = dataset(name).root  # type: ignore[attr-defined]
    from_folder = {split: dataset(name).split(split).sha256 for split in facts(name).splits}
    with own_registrations(tmp_path):
        add_dataset(name, root, LISTS / FOLDERS[name], trust=False)
        for split, sha256 in from_folder.items():
            assert dataset(name).split(split).sha256 == sha256


def test_every_bank_verifies(name: str):
    banks = [one for one in recipe_names() if read_recipe(one).dataset == name]
    assert len(banks) == (12 if name in {"ucf101", "hmdb51"} else 8)
    for bank in banks:
        assert len(open_bank(bank).episodes) == 10_000
        assert call("bank", "verify", bank)[0] == 0


def test_names_are_verified(name: str):
    succeeds("data", "verify", name, "--fast")


def test_a_bank_is_evaluated(name: str, tmp_path: Path):
    words = ("--methods", "protonet", "--episodes", "100", "--out", tmp_path)
    assert call("run", "--bank", f"{name}-5w1s-test", *words)[0] == 0
    assert len(predictions(tmp_path)["protonet"]) == 500
