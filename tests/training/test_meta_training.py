"""Meta-training end to end: resumed after a kill, chosen on validation, used by a run."""

import errno
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from bench.features import filling
from bench.features.backbones import load_backbone, with_preprocessing
from bench.features.text import text_source
from bench.machine import distributed
from bench.machine.progress import Reporter
from bench.method import Method
from bench.plugins.registry import built_in_methods
from bench.running.checkpoints import tuned_backbone
from bench.training import meta
from bench.training.clips import ClipLibrary
from bench.training.inputs import Features
from bench.training.meta import train
from bench.training.plan import Training
from bench.training.recipe import read_training_recipe
from bench.training.state import STATE, check_same
from bench.training.stream import training_stream
from bench.training.validation import Validator
from bench.weights.cards import CARD, SAME_IN_ALL_SEEDS, WEIGHTS, file_sha256
from episodes.banks.bank import open_bank
from episodes.datasets import dataset
from episodes.datasets.adding import add_dataset
from episodes.errors import UserError
from episodes.split import SplitName
from tests.command import killed_at, refused, succeeds
from tests.conftest import videos_of
from tests.synthetic import CPU, embed
from tests.test_own_videos import bank_of

METHODS = built_in_methods()


def training(
    out: Path, recipe: Path, method: str = "mastaf", seed: int = 0, tuned: bool = False
) -> Training:
    chosen = read_training_recipe(str(recipe), METHODS[method])
    bank = open_bank("rendered-5w1s-val", chosen.validation_episodes)
    loaded = load_backbone("motion", CPU)
    return Training(METHODS[method], seed, chosen, bank, loaded, tuned, CPU, out)


def train_one(planned: Training) -> Path:
    return train(planned, ClipLibrary(planned.device), Reporter())


@pytest.fixture(scope="module")
def short_recipe(tmp_path_factory: pytest.TempPathFactory, small_recipe: Path) -> Path:
    """Two steps, each of one episode and validated."""
    path = tmp_path_factory.mktemp("short") / "short.toml"
    words = "steps = 2\nepisodes_per_step = 1\nvalidate_every = 1\n"
    path.write_text(f'base = "{small_recipe}"\n[default]\n{words}')
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small_recipe: Path) -> Path:
    """A training that nothing interrupted."""
    return train_one(training(tmp_path_factory.mktemp("trained"), small_recipe))


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (WEIGHTS, "train.csv")}


def test_a_training_says_so_where_it_began_with_other_weights_than_the_shipped(
    tmp_path: Path, small_recipe: Path
):
    planned = training(tmp_path, small_recipe)
    assert planned.summary.start is None
    other = replace(planned.backbone, weights_sha256="0123456789abcdef")
    assert replace(planned, backbone=other).summary.start == "motion 01234567"
    chosen = with_preprocessing(load_backbone("motion", CPU), "linspace", "60")
    summary = replace(planned, backbone=chosen).summary
    assert (summary.sampling, summary.resize) == ("linspace", 60)


def test_weights_card_and_curve_are_left_and_nothing_else(trained: Path):
    assert {path.name for path in trained.iterdir()} == {WEIGHTS, CARD, "train.csv"}
    card = json.loads((trained / CARD).read_text())
    assert card["sha256"] == file_sha256(trained / WEIGHTS)
    assert card["training"] == {"recipe": "small", "seed": 0, "backbone": "frozen", "episodes": 8}
    assert card["trained_on"]["split"] == "train"
    assert {"command", "packages", "commit"} <= set(card["made_by"])
    curve = pd.read_csv(trained / "train.csv")
    assert curve["step"].tolist() == [0, 1, 2, 3, 4]
    assert curve["validation_accuracy"].notna().tolist() == [True, False, True, False, True]
    best = curve.loc[1:, "validation_accuracy"].max()
    assert card["chosen"]["validation_accuracy"] == pytest.approx(best, abs=1e-5)


def test_a_seed_decides_the_weights(tmp_path: Path, short_recipe: Path):
    one, again, other = (
        results(train_one(training(tmp_path / str(number), short_recipe, seed=seed)))
        for number, seed in enumerate((0, 0, 1))
    )
    assert one == again
    assert one[WEIGHTS] != other[WEIGHTS]


def test_training_moves_every_weight(trained: Path, tmp_path: Path, small_recipe: Path):
    planned = training(tmp_path, small_recipe)
    classes = training_stream(planned.validation, planned.recipe, planned.seed).split.classes
    before = dict(meta.build(planned, len(classes))[0].method.named_parameters())
    after = load_file(trained / WEIGHTS)
    used = before.keys() & after.keys()
    moved = {name for name in used if not torch.equal(before[name], after[name])}
    assert moved == used != set()


class KilledError(BaseException):
    """Stands for a kill: nothing catches it."""


def kill_once_saved(planned: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until the state is saved for the first time."""
    save = meta.save_state

    def save_then_die(*words: object) -> None:
        save(*words)
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(meta, "save_state", save_then_die)
        with pytest.raises(KilledError):
            train_one(planned)


@pytest.mark.parametrize("write", range(6))
def test_a_kill_at_any_write_is_made_good(
    trained: Path, tmp_path: Path, small_recipe: Path, write: int
):
    assert killed_at(write, lambda: train_one(training(tmp_path, small_recipe)))
    folder = train_one(training(tmp_path, small_recipe))
    assert results(folder) == results(trained)
    assert {path.name for path in folder.iterdir()} == {WEIGHTS, CARD, "train.csv"}


def test_dropout_and_optimiser_go_on_where_they_stopped(
    tmp_path: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    # STRM drops out, Adam remembers: a state that lacked either would end elsewhere.
    whole = train_one(training(tmp_path / "whole", small_recipe, "strm"))
    part = training(tmp_path / "part", small_recipe, "strm")
    kill_once_saved(part, monkeypatch)
    kill_once_saved(part, monkeypatch)
    assert results(train_one(part)) == results(whole)


def test_a_tuned_backbone_is_trained_resumed_and_evaluated(
    tmp_path: Path, short_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = train_one(training(tmp_path / "whole", short_recipe, "otam", tuned=True))
    part = training(tmp_path / "part", short_recipe, "otam", tuned=True)
    kill_once_saved(part, monkeypatch)
    assert results(train_one(part)) == results(whole)
    out = tmp_path / "run"
    succeeds(
        *("run", "--methods", "otam", "--weights", tmp_path / "whole", "--out", out),
        *("--bank", "rendered-5w1s-val", "--episodes", 2),
    )
    rows = pd.read_parquet(out / "otam" / "rows.parquet")
    card = json.loads((whole / CARD).read_text())
    accuracy = (rows["label"] == rows["prediction"]).mean()
    assert accuracy == pytest.approx(card["chosen"]["validation_accuracy"])
    identity = json.loads((out / "otam" / "run.json").read_text())["identity"]
    assert identity["training"]["backbone"] == "tuned"
    assert identity["features"]["weights_sha256"] == card["sha256"]
    with pytest.raises(UserError, match="it is not motion-words; name the --backbone") as error:
        tuned_backbone(load_backbone("motion-words", CPU), whole / WEIGHTS, CPU)
    assert "\n" not in str(error.value)


def test_learning_rates_that_never_reach_their_values_are_told(
    tmp_path: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(meta, "train", lambda planned, *_: planned.folder)
    monkeypatch.setattr("bench.commands.forecast.FEW", 10**6)  # no forecast: it renders all videos
    words = ("train", "mastaf", "strm", "--freeze-backbone", "--seeds", "0,1", "--out", tmp_path)
    said = succeeds(*words, "--episodes", 160)
    assert said.count("mastaf (20 of 20 steps), strm (20 of 20 steps): training ends within") == 1
    assert "warm-up" not in succeeds(*words, "--recipe", small_recipe)


def test_nothing_is_fetched_for_a_step_that_will_not_be(
    tmp_path: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    steps: set[int] = set()
    monkeypatch.setattr(Features, "prepare", lambda self, videos, step: steps.add(step))
    train_one(training(tmp_path, small_recipe))
    assert steps == {1, 2, 3}


@pytest.mark.parametrize("count", [0, 24])
def test_validation_holds_clips_of_one_batch_beside_the_library(
    count: int, tmp_path: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    planned = training(tmp_path, small_recipe, "otam", tuned=True)
    planned = replace(planned, validation=open_bank("rendered-5w1s-val", 3))
    learner, _ = meta.build(planned, 5)
    validator = Validator(planned, ClipLibrary(CPU), Reporter())
    given: list[list[torch.Tensor]] = []
    scored: list[torch.Tensor] = []
    add = filling.Embedding.add

    def counted(self: filling.Embedding, videos: list[tuple[str, torch.Tensor]]) -> None:
        given.append([clip for _, clip in videos])
        add(self, videos)

    def answers(method: Method, features: torch.Tensor, *_: object) -> SimpleNamespace:
        scored.append(features)
        return SimpleNamespace(prediction=0)

    monkeypatch.setattr(filling.Embedding, "add", counted)
    monkeypatch.setattr(distributed, "share", lambda pieces: list(pieces)[:count])
    monkeypatch.setattr(distributed, "together", lambda mine, lengths: mine)
    monkeypatch.setattr("bench.training.validation.evaluate", answers)
    validator.accuracy(learner)
    (features,) = scored
    assert features.shape == (count, *planned.shape)
    assert [len(batch) for batch in given] == [16, 8][: count and 2]
    if count:
        clips = [clip for batch in given for clip in batch]
        expected = embed(learner.backbone.eval(), clips)
        assert torch.equal(features, torch.from_numpy(expected))


def test_seeds_of_a_folder_are_runs_of_their_own(tmp_path: Path, short_recipe: Path):
    succeeds(
        *("train", "mastaf", "--seeds", "0,1", "--recipe", short_recipe, "--freeze-backbone"),
        *("--out", tmp_path / "trained"),
    )
    succeeds(
        *("run", "--methods", "mastaf,otam", "--weights", tmp_path / "trained"),
        *("--episodes", 4, "--out", tmp_path / "run"),
    )
    found = {
        str(path.parent.relative_to(tmp_path / "run")) for path in tmp_path.glob("run/**/run.json")
    }
    assert found == {"seed-0/mastaf", "seed-1/mastaf", "otam"}


def test_a_finished_training_is_reused_and_another_is_not_lost(
    trained: Path, small_recipe: Path, tmp_path: Path
):
    out = trained.parents[1]
    before = (trained / WEIGHTS).stat().st_mtime_ns
    assert train_one(training(out, small_recipe)) == trained
    words = ("train", "mastaf", "--freeze-backbone", "--recipe", small_recipe, "--out", out)
    said = succeeds(*words, "--device", "cpu")
    assert said == f"finished before: {trained}\n"
    assert (trained / WEIGHTS).stat().st_mtime_ns == before
    other = tmp_path / "small.toml"
    other.write_text(small_recipe.read_text().replace("steps = 4", "steps = 6"))
    with pytest.raises(UserError, match=r"holds a training with training\.episodes 8, not 12;"):
        train_one(training(out, other))
    planned = training(out, small_recipe)
    shown_larger = with_preprocessing(load_backbone("motion", CPU), None, "60")
    with pytest.raises(UserError, match=r"with training\.resize None, not 60;"):
        train_one(replace(planned, backbone=shown_larger))
    shown_others = with_preprocessing(load_backbone("motion", CPU), "linspace", None)
    with pytest.raises(UserError, match=r"sampling None, not linspace;"):
        train_one(replace(planned, backbone=shown_others))


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.usefixtures("own_config")
def test_another_video_of_one_s_own_is_another_training(
    split: SplitName, tmp_path: Path, small_recipe: Path
):
    root = videos_of(tmp_path / "videos", [f"class-{label}" for label in range(20)], opened=False)
    add_dataset("mine", root, None, trust=False)
    planned = replace(training(tmp_path, small_recipe), validation=bank_of("mine", "val"))
    before = planned.identity()
    assert planned.identity() == before
    video = dataset("mine").split(split).videos[0]
    (root / video.label / video.name).write_bytes(b"another")
    after = planned.identity()
    assert before.sha256_of(*SAME_IN_ALL_SEEDS) != after.sha256_of(*SAME_IN_ALL_SEEDS)
    with pytest.raises(UserError, match="holds a training with videos_sha256"):
        check_same(tmp_path, before, after)
    with pytest.raises(UserError, match="by an earlier version, which does not state its videos;"):
        check_same(tmp_path, before.changed(videos_sha256=None), after)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.usefixtures("own_config")
def test_another_name_of_a_class_is_another_training(
    split: str, tmp_path: Path, small_recipe: Path
):
    """Names of training classes are learnt from; those of validation classes choose the weights."""
    root = videos_of(tmp_path / "videos", [f"class-{label}" for label in range(20)], opened=False)
    add_dataset("mine", root, None, trust=False)
    bank, words = bank_of("mine", "val"), load_backbone("motion-words", CPU)
    recipe = read_training_recipe(str(small_recipe), METHODS["clip-fsar"])
    planned = Training(
        *(METHODS["clip-fsar"], 0, recipe, bank, words, False, CPU, tmp_path),
        text=text_source(words, None, None),
    )
    before = planned.identity()
    assert planned.identity() == before
    label = bank.source.split(split).classes[0]
    (root / "names.csv").write_text(f"class,name\n{label},another name\n")
    assert planned.identity() != before


@pytest.mark.parametrize("writer", ["save_tensors", "save_state", "finish"])
def test_a_full_disk_is_no_failure_of_the_method(
    tmp_path: Path, short_recipe: Path, monkeypatch: pytest.MonkeyPatch, writer: str
):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    planned = training(tmp_path, short_recipe)
    with monkeypatch.context() as patched:
        patched.setattr(meta, writer, full)
        with pytest.raises(UserError, match=r"cannot be written: .*No space left .*make room"):
            train_one(planned)
    assert (train_one(planned) / WEIGHTS).is_file()


def test_a_kill_before_the_state_is_removed_leaves_none_in_the_end(
    tmp_path: Path, short_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    planned = training(tmp_path, short_recipe)
    with monkeypatch.context() as patched:
        patched.setattr("bench.training.outcome.clear_state", killed)
        with pytest.raises(KeyboardInterrupt):
            train_one(planned)
    assert (planned.folder / STATE).exists()
    train_one(planned)
    assert {path.name for path in planned.folder.iterdir()} == {CARD, WEIGHTS, "train.csv"}


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(
    tmp_path: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    forward = meta.Learner.forward
    steps = iter(range(100))

    def failing(self: meta.Learner, *words: object) -> dict[str, torch.Tensor]:
        terms = forward(self, *words)
        return {**terms, "nearest": terms["nearest"] * float("nan")} if next(steps) > 5 else terms

    monkeypatch.setattr(meta.Learner, "forward", failing)
    with pytest.raises(
        UserError, match=r"loss term nearest is nan at step 4; .* of step 2 is kept"
    ):
        train_one(training(tmp_path, small_recipe))
    assert (tmp_path / "mastaf" / "seed-0" / "best-000002.safetensors").exists()


def test_too_little_memory_is_one_message(
    tmp_path: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    def greedy(self: meta.Learner, *words: object) -> dict[str, torch.Tensor]:
        return {"nearest": torch.empty(1 << 60)}

    monkeypatch.setattr(meta.Learner, "forward", greedy)
    with pytest.raises(UserError, match="needs more memory than there is for 1 episodes at once"):
        train_one(training(tmp_path, small_recipe))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mastaf", "otam", "--freeze-backbone"), "otam has no weights of its own"),
        (("chance",), "there is nothing to train"),
        (("otam", "--seeds", "0,x"), "whole numbers, separated by commas"),
        (("otan",), "otam"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    words: tuple[str, ...], message: str, tmp_path: Path, small_recipe: Path
):
    assert message in refused("train", *words, "--recipe", small_recipe, "--out", tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))  # refused before the first is trained
