"""Banks: the same episodes for everybody, which tell nothing but what they are meant to."""

from collections import Counter
from dataclasses import fields, replace
from itertools import permutations
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from scipy.stats import chisquare

from episodes.banks import sampler
from episodes.banks.bank import BankMismatchError, episodes_sha256, frozen, open_bank, verified
from episodes.banks.recipe import Protocol, Recipe, read_recipe, recipe_names
from episodes.banks.sampler import CHUNK, Episodes, draw
from episodes.datasets import dataset
from episodes.errors import UserError
from episodes.split import Split
from tests.command import fresh
from tests.synthetic import recipe_with

PROTOCOLS = get_args(Protocol)
MANY = 20_000
UNLIKELY = 1e-3
"""Seeds are fixed, so a test passes always or never; this is how odd its sample may look."""


def recipe_for(split: Split, protocol: str = "standard", **changes: int) -> Recipe:
    told = {"name": "mine", "dataset": split.dataset, "split": split.name, "seed": 3}
    return recipe_with(**told | {"protocol": protocol} | changes)


@pytest.fixture(scope="module")
def rendered() -> Split:
    return dataset("rendered").split("test")


@pytest.fixture(scope="module", params=PROTOCOLS)
def drawn(request: pytest.FixtureRequest, rendered: Split) -> Episodes:
    """Many episodes of each protocol, with two support videos and two queries of each class."""
    return draw(recipe_for(rendered, request.param, shot=2, queries=2), rendered, MANY)


def class_of(split: Split, videos: np.ndarray) -> np.ndarray:
    return np.searchsorted(split.class_starts, videos, side="right") - 1


def ways(split: Split, episodes: Episodes) -> np.ndarray:
    """(episodes, way) classes in their order."""
    return class_of(split, episodes.support[..., 0])


def start_alike(one: Episodes, other: Episodes, count: int) -> bool:
    """Whether two draws have at least ``count`` episodes, and the same ones so far."""
    pairs = ((getattr(one, field.name), getattr(other, field.name)) for field in fields(Episodes))
    return all(len(a) >= count and np.array_equal(a[:count], b[:count]) for a, b in pairs)


def looks_uniform(values: np.ndarray, kinds: int) -> bool:
    return chisquare(np.bincount(values.ravel(), minlength=kinds)).pvalue > UNLIKELY


class TestCommittedBanks:
    def test_verify(self):
        """Those of other datasets need lists of videos that a test does not have."""
        names = [name for name in recipe_names() if read_recipe(name).dataset == "rendered"]
        assert len(names) > 10
        for bank in map(open_bank, names):
            assert bank.sha256 == bank.recipe.episodes_sha256
            assert len(bank.episodes) == bank.recipe.episodes

    @pytest.mark.parametrize(
        ("name", "sha256"),
        [
            ("default", "6f1328deee648ecedb1d00c447b5f1315d30cd4c55db8f0f60bcd7caeb25231a"),
            ("default-order", "2668b1e405019487db3b463b665b7fc7bfc2528f320dfba7d866d19a295d93fa"),
        ],
    )
    def test_default_never_changes(self, name: str, sha256: str):
        """These hashes hold for every minor version of numpy and Python.

        Draws come from raw words of Philox, which numpy guarantees (its ``Generator`` methods
        it does not), by integer multiplication and shifts; keys are SHA-256 of text; the hash
        covers int32 and int16 in little-endian order. No float, no ``hash()``, no order of a
        set or a folder takes part. Where this fails, a result can no longer be compared with
        any that was published.
        """
        assert open_bank(name).sha256 == sha256

    def test_frozen_states_the_hashes_that_verify(self, small_split: Split):
        recipe = frozen(recipe_for(small_split), small_split)
        assert len(verified(recipe, small_split)) == recipe.episodes
        assert recipe == frozen(recipe, small_split)


@pytest.mark.parametrize("protocol", PROTOCOLS)
class TestEpisodeDependsOnItsNumberAlone:
    def test_on_how_many_are_asked_for(self, protocol: str, rendered: Split):
        recipe = recipe_for(rendered, protocol)
        all_of_them = draw(recipe, rendered, 100_000)
        for count in (10, CHUNK - 1, CHUNK + 1):
            assert start_alike(draw(recipe, rendered, count), all_of_them, count)

    def test_not_on_how_many_are_drawn_at_once(
        self, protocol: str, small_split: Split, monkeypatch: pytest.MonkeyPatch
    ):
        recipe = recipe_for(small_split, protocol)
        at_once = draw(recipe, small_split, 50)
        monkeypatch.setattr(sampler, "CHUNK", 7)
        assert start_alike(draw(recipe, small_split, 50), at_once, 50)

    def test_not_on_how_many_the_recipe_states(self, protocol: str, small_split: Split):
        recipe = recipe_for(small_split, protocol)
        more = draw(recipe.changed(episodes=7), small_split, 20)
        assert start_alike(more, draw(recipe, small_split, 20), 20)

    @pytest.mark.parametrize("field", ["seed", "shot", "queries"])
    def test_other_numbers_give_other_episodes(self, protocol: str, rendered: Split, field: str):
        one = recipe_for(rendered, protocol)
        other = one.changed(**{field: getattr(one, field) + 1})
        pair = [ways(rendered, draw(recipe, rendered, 50)) for recipe in (one, other)]
        assert (pair[0] != pair[1]).any(axis=1).mean() > 0.9


def test_more_episodes_than_stated_go_on_from_the_same_stream():
    stated, more = open_bank("default"), open_bank("default", 12_000)
    assert len(more.episodes) == 12_000
    assert start_alike(more.episodes, stated.episodes, 10_000)


def test_same_in_a_process_with_another_hash_seed():
    said = fresh("bank", "verify", "default-order", PYTHONHASHSEED="1")
    assert said.startswith("equal: default-order")


class TestEveryProtocol:
    def test_support_shows_distinct_classes_and_each_way_one(self, drawn, rendered):
        classes = class_of(rendered, drawn.support)
        assert (classes == classes[..., :1]).all()
        assert (np.diff(np.sort(classes[..., 0], axis=1)) > 0).all()

    def test_labels_name_the_way_of_the_query_class(self, drawn, rendered):
        named = np.take_along_axis(ways(rendered, drawn), drawn.labels.astype(int), axis=1)
        assert (named == class_of(rendered, drawn.query)).all()

    def test_no_video_stands_in_an_episode_twice(self, drawn):
        videos = np.concatenate([drawn.support.reshape(MANY, -1), drawn.query], axis=1)
        assert (np.diff(np.sort(videos, axis=1)) > 0).all()

    def test_classes_at_each_way_are_uniform(self, drawn, rendered):
        for way in ways(rendered, drawn).T:
            assert looks_uniform(way, len(rendered.classes))

    def test_labels_at_each_query_position_are_uniform(self, drawn):
        for position in drawn.labels.T:
            assert looks_uniform(position, drawn.support.shape[1])

    def test_videos_at_each_place_are_used_equally(self, drawn, rendered):
        places = [*drawn.support.reshape(MANY, -1).T, *drawn.query.T]
        for place in places:
            assert looks_uniform(place, len(rendered.videos))


@pytest.mark.parametrize("protocol", ["standard", "group-disjoint", "partners"])
def test_every_class_is_queried_as_often(protocol: str, rendered: Split):
    recipe = recipe_for(rendered, protocol, shot=2, queries=3)
    labels = draw(recipe, rendered, 500).labels
    assert (np.sort(labels, axis=1) == np.repeat(np.arange(5), 3)).all()


def test_order_of_the_queries_is_uniform(rendered: Split):
    labels = draw(recipe_for(rendered, way=3), rendered, MANY).labels
    counts = Counter(map(tuple, labels.tolist()))
    assert set(counts) == set(permutations(range(3)))
    assert chisquare(list(counts.values())).pvalue > UNLIKELY


def test_one_class_protocol_asks_for_one_class(rendered: Split):
    episodes = draw(recipe_for(rendered, "one-class", queries=3), rendered, MANY)
    assert episodes.query.shape == (MANY, 3)
    assert (episodes.labels == episodes.labels[:, :1]).all()
    assert looks_uniform(episodes.labels[:, 0], 5)


class TestGroupDisjoint:
    @pytest.mark.parametrize(("shot", "queries"), [(1, 1), (5, 2)])
    def test_no_query_shares_its_group_with_support_of_its_class(self, rendered, shot, queries):
        recipe = recipe_for(rendered, "group-disjoint", shot=shot, queries=queries)
        assert not self.shared_groups(rendered, draw(recipe, rendered, MANY)).any()

    def test_standard_protocol_does_share_groups(self, rendered):
        episodes = draw(recipe_for(rendered), rendered, MANY)
        assert self.shared_groups(rendered, episodes).mean() == pytest.approx(1 / 39, rel=0.1)

    @staticmethod
    def shared_groups(split: Split, episodes: Episodes) -> np.ndarray:
        group = split.group_bounds[0]
        support = group[episodes.support][:, None]
        return (group[episodes.query][..., None, None] == support).any(axis=(2, 3))

    @pytest.mark.parametrize("shot", [1, 2])
    def test_uneven_groups_against_every_possible_episode(self, small_split, shot):
        """Support is uniform over ordered videos, the query over those of other groups."""
        recipe = recipe_for(small_split, "group-disjoint", shot=shot, way=1)
        episodes = draw(recipe, small_split, 120_000)
        seen = Counter(map(tuple, np.hstack([episodes.support[:, 0], episodes.query]).tolist()))
        expected = self.probabilities(small_split, shot)
        assert set(seen) <= set(expected)
        counts = [seen[episode] for episode in expected]
        ideal = [probability * 120_000 for probability in expected.values()]
        assert chisquare(counts, ideal).pvalue > UNLIKELY

    @staticmethod
    def probabilities(split: Split, shot: int) -> dict[tuple[int, ...], float]:
        found = {}
        for first_video, end in zip(split.class_starts, split.class_starts[1:], strict=False):
            members = range(first_video, end)
            supports = list(permutations(members, shot))
            for support in supports:
                groups = {split.videos[video].group for video in support}
                free = [video for video in members if split.videos[video].group not in groups]
                for query in free:
                    share = len(split.classes) * len(supports) * len(free)
                    found[*support, query] = 1 / share
        return found


class TestPartners:
    @pytest.mark.parametrize(("way", "alone"), [(2, 0), (3, 1), (4, 0), (5, 1), (6, 0)])
    def test_as_many_pairs_as_fit(self, rendered, way, alone):
        episodes = draw(recipe_for(rendered, "partners", way=way), rendered, 300)
        for classes in ways(rendered, episodes).tolist():
            partners = rendered.partner_indices[classes]
            assert sum(partner not in classes for partner in partners) == alone

    def test_every_pair_is_drawn_as_often(self, rendered):
        classes = ways(rendered, draw(recipe_for(rendered, "partners", way=2), rendered, MANY))
        pairs = Counter(map(tuple, np.sort(classes, axis=1).tolist()))
        assert len(pairs) == len(rendered.classes) // 2
        assert chisquare(list(pairs.values())).pvalue > UNLIKELY


class TestHash:
    def test_differs_when_one_video_is_renamed(self, small_split: Split):
        recipe = recipe_for(small_split)
        episodes = draw(recipe, small_split, 20)
        # The new name sorts where the old one did, so every index stays as it was.
        last = replace(small_split.videos[-1], name=small_split.videos[-1].name + "x")
        renamed = replace(small_split, videos=(*small_split.videos[:-1], last))
        assert renamed.videos.index(last) == len(small_split.videos) - 1
        assert episodes_sha256(renamed, episodes) != episodes_sha256(small_split, episodes)
        assert (draw(recipe, renamed, 20).support != episodes.support).any(), "another stream"

    @pytest.mark.parametrize("part", ["support", "query", "labels"])
    def test_differs_when_one_index_does(self, small_split: Split, part: str):
        episodes = draw(recipe_for(small_split), small_split, 20)
        array = getattr(episodes, part).copy()
        array.flat[7] ^= 1
        changed = replace(episodes, **{part: array})
        assert episodes_sha256(small_split, changed) != episodes_sha256(small_split, episodes)

    def test_is_of_numbers_not_of_bytes_in_memory(self, small_split: Split):
        episodes = draw(recipe_for(small_split), small_split, 20)
        other = Episodes(
            np.asfortranarray(episodes.support.astype(">i8")),
            episodes.query[::-1][::-1].astype(np.int64),
            episodes.labels.astype(np.int64),
        )
        assert episodes_sha256(small_split, other) == episodes_sha256(small_split, episodes)

    def test_tells_a_way_from_a_shot(self, small_split: Split):
        episodes = draw(recipe_for(small_split, shot=2, way=4), small_split, 20)
        turned = replace(episodes, support=episodes.support.reshape(20, 2, 4))
        assert episodes_sha256(small_split, turned) != episodes_sha256(small_split, episodes)


class TestRefusals:
    """Each names the value, the rule and the way out."""

    @staticmethod
    def edited(folder: Path, old: str, new: str) -> str:
        text = read_recipe("default").text()
        assert old in text
        path = folder / "edited.toml"
        path.write_text(text.replace(old, new))
        return str(path)

    def test_changed_list(self, rendered: Split):
        renamed = replace(rendered.videos[0], name="another")
        changed = replace(rendered, videos=(renamed, *rendered.videos[1:]))
        recipe = read_recipe("default")
        message = rf"{changed.sha256}.*made from {recipe.split_sha256}.*restore the original list"
        with pytest.raises(BankMismatchError, match=message):
            verified(recipe, changed)

    @pytest.mark.parametrize(
        ("old", "new", "error", "message"),
        [
            ("seed = 0", "seed = 1", BankMismatchError, r"drawn.*6f1328de.*changed; restore"),
            ("6f1328de", "7f1328de", BankMismatchError, r"sha256 6f1328de.*states 7f1328de"),
            ("sampler = 1", "sampler = 99", UserError, r"sampler 99.*sampler 1; install"),
            ('"rendered"', '"renderd"', UserError, r"'renderd'; did you mean rendered\?"),
        ],
    )
    def test_edited_recipe_however_few_episodes_are_wanted(
        self, tmp_path, old, new, error, message
    ):
        for episodes in (None, 3):
            with pytest.raises(error, match=message):
                open_bank(self.edited(tmp_path, old, new), episodes)

    @pytest.mark.parametrize("field", ["split_sha256", "episodes_sha256"])
    def test_recipe_without_hashes_is_told_them(self, tmp_path: Path, field: str):
        recipe = read_recipe("default")
        path = self.edited(tmp_path, f'{field} = "{getattr(recipe, field)}"\n', "")
        message = rf"bank edited states no hashes.*{recipe.split_sha256}.*{recipe.episodes_sha256}"
        with pytest.raises(UserError, match=message):
            open_bank(path)

    def test_unknown_name_and_no_episodes(self):
        with pytest.raises(UserError, match=r"'default-oder'; did you mean default-order"):
            open_bank("default-oder")
        with pytest.raises(UserError, match=r"bank default: episodes is 0; .* greater .* to 1"):
            open_bank("default", 0)

    def test_more_than_the_split_has(self, small_split: Split):
        unpaired = replace(small_split, partners={})
        six = r"6 videos of a class \(shot 4 \+ queries 2\); class 'pull' has 5.*lower shot"
        for split, recipe, message in (
            (small_split, recipe_for(small_split, way=7), "mine .* asks for 7 classes.*has 6: low"),
            (unpaired, recipe_for(small_split, "partners"), "2 partner pairs.*has 0: choose anoth"),
            (small_split, recipe_for(small_split, shot=4, queries=2), six),
        ):
            with pytest.raises(UserError, match=message):
                draw(recipe, split, 1)

    @pytest.mark.parametrize("shot", [1, 2])
    def test_fewer_groups_than_an_episode_needs(self, small_split: Split, shot: int):
        """Of "rise" (groups of 3, 3 and 1), at worst 4 or 1 videos are left for queries."""
        enough = {1: 4, 2: 1}[shot]
        recipe = recipe_for(small_split, "group-disjoint", shot=shot, way=6)
        only = replace(small_split, videos=[v for v in small_split.videos if v.label == "rise"])
        fits = recipe.changed(way=1, queries=enough)
        assert draw(fits, only, 500).query.shape == (500, enough)
        with pytest.raises(UserError, match=rf"7 videos of class 'rise', as few as {enough} may"):
            draw(fits.changed(queries=enough + 1), only, 1)
