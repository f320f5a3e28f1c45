"""Methods that read the names of classes: where names come from, and what a method is given."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.comparison.frame import marked
from bench.comparison.summary import compare_on_one_bank
from bench.conformance import examine
from bench.features.backbones import LoadedBackbone, load_backbone
from bench.features.text import TextSource, indistinct, text_from_file, text_source
from bench.method import ConfiguredMethod, FeatureShape, Method, NamedSupport, Settings, TextMethod
from bench.plugins.registry import built_in_methods
from bench.running.loop import evaluate
from bench.runs.directory import read_run
from episodes.cache import ENVIRONMENT_VARIABLE
from episodes.datasets import dataset
from episodes.datasets.class_names import class_names
from episodes.errors import UserError
from episodes.plugins import load_file
from tests.command import call, predictions, refused, succeeds
from tests.conftest import videos_of
from tests.outside_package import plugins_as_they_were
from tests.synthetic import (
    CPU,
    NOTHING,
    MeanVectors,
    answered,
    class_of_video,
    draw_episodes,
    separable_features,
)
from tests.tiny_models import make

ENTRIES = built_in_methods()
CHANNELS = 24
NAMES = ("brush hair", "RideBike", "wave")
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)


def of_class() -> Tensor:
    """Text features of the 960 rendered test videos: the direction of each one's class."""
    return torch.eye(CHANNELS)[class_of_video()]


def accuracy(name: str, features: Tensor, text: Tensor | None) -> float:
    method = ENTRIES[name].build(FeatureShape(*features.shape[1:]), seed=0)
    episodes = draw_episodes(200)
    answers = evaluate(method, features, episodes, CPU, 64, NOTHING, text)
    return float((answers.prediction == episodes.labels).mean())


class TestWhatAMethodIsGiven:
    def test_names_classify_what_the_support_cannot(self):
        features = separable_features(noise=4.0)
        assert accuracy("zero-shot", features, of_class()) > 0.8
        assert accuracy("text-prototype", features, of_class()) > accuracy(
            "protonet-cosine", features, None
        )

    def test_the_name_of_a_query_is_never_looked_at(self):
        """The text of videos that are no support video of an episode may be anything."""
        features, episodes = separable_features(noise=2.0), draw_episodes(50)
        method = ENTRIES["zero-shot"].build(FeatureShape(*features.shape[1:]), seed=0)
        for number in range(5):
            one = type(episodes)(
                *(part[number : number + 1] for part in (episodes.support, episodes.query)),
                episodes.labels[number : number + 1],
            )
            text = of_class()
            others = torch.ones(len(text), dtype=torch.bool)
            others[torch.from_numpy(one.support[:, :, 0].astype(np.int64)).flatten()] = False
            spoiled = text.clone()
            spoiled[others] = torch.nan
            found = [evaluate(method, features, one, CPU, 8, NOTHING, t) for t in (text, spoiled)]
            assert np.array_equal(found[0].prediction, found[1].prediction)

    def test_a_method_that_reads_names_needs_some(self):
        with pytest.raises(ValueError, match="zero-shot reads names"):
            accuracy("zero-shot", separable_features(noise=1.0), None)


class Deaf(MeanVectors, TextMethod):
    """Reads no names, though it says so."""

    def adapt(self, support: NamedSupport) -> Tensor:
        return support.videos.mean(dim=2)


class Perverse(Deaf):
    """Runs from the right name."""

    def adapt(self, support: NamedSupport) -> Tensor:
        return -support.text


class TestRules:
    @pytest.mark.parametrize("cls", [Deaf, Perverse])
    def test_a_text_method_that_makes_nothing_of_names_is_found_out(self, cls: type[Method]):
        found = examine(ConfiguredMethod("probe", cls, Settings())).breaches
        assert {breach.rule for breach in found} == {"names"}


class TestNamesOfClasses:
    @pytest.mark.parametrize(
        ("dataset", "label", "name"),
        [
            ("ucf101", "ApplyEyeMakeup", "Apply Eye Makeup"),
            ("hmdb51", "brush_hair", "brush hair"),
            ("kinetics-100", "air drumming", "air drumming"),
            ("rendered", "grow-then-shake", "grow then shake"),
            ("ssv2-all", "Something falling like a rock", "[something] falling like a rock"),
            ("mine", "été", "été"),
            ("mine", "---", "---"),
        ],
    )
    def test_labels_become_words(self, dataset: str, label: str, name: str):
        assert class_names(dataset, [label]) == {label: name}

    def test_a_table_beside_own_videos_wins(self, tmp_path: Path):
        (tmp_path / "names.csv").write_text('class,name\nwave,"waving, with a hand"\n')
        found = class_names("mine", ["wave", "RideBike"], tmp_path)
        assert found == {"wave": "waving, with a hand", "RideBike": "Ride Bike"}

    def test_it_may_name_classes_of_other_splits(self, tmp_path: Path):
        (tmp_path / "wave").mkdir()
        (tmp_path / "names.csv").write_text("wave,waving\nclap,clapping\n")
        assert class_names("mine", ["clap"], tmp_path) == {"clap": "clapping"}

    @pytest.mark.parametrize(
        "line", ["waving", "wave,", "wive,waving", "wave,a,b", "wave,a\nwave,b"]
    )
    def test_a_wrong_line_is_named(self, tmp_path: Path, line: str):
        (tmp_path / "names.csv").write_text(f"{line}\n")
        with pytest.raises(UserError, match=r"names\.csv.*w[ai]v"):
            class_names("mine", ["wave"], tmp_path)


class TestTextFromAFile:
    def test_both_forms_hold_the_same(self, tmp_path: Path):
        vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
        np.savez(tmp_path / "text.npz", names=np.array(["a", "b"]), vectors=vectors)
        (tmp_path / "text.csv").write_text("name,x,y,z\na,0,1,2\nb,3,4,5\n")
        for name in ("text.npz", "text.csv"):
            source = text_from_file(tmp_path / name, 3)
            assert source.features(["b", "a"]).tolist() == [[3, 4, 5], [0, 1, 2]]

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("a.csv", "wave,1,2\n", "3 numbers"),
            ("a.csv", "wave,1,2,nan\n", "finite"),
            ("a.csv", "wave,1,x,2\n", "cannot be read"),
            ("a.csv", "", "cannot be read|for 0 names"),
            ("a.csv", "wave,1,2,3\njump,1,2,3\nwave,4,5,6\n", "'wave' twice"),
            ("a.csv", "w" * 200_000 + ",1,2,3\n", "cannot be read"),
            ("a.npz", "no archive", "cannot be read"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path: Path, name: str, content: str, said: str):
        (tmp_path / name).write_text(content)
        with pytest.raises(UserError, match=said):
            text_from_file(tmp_path / name, 3)

    def test_a_class_without_a_feature_is_named(self, tmp_path: Path):
        (tmp_path / "a.csv").write_text("wave,1,2,3\n")
        with pytest.raises(UserError, match=r"no feature for 'jump'; .*, and there are wave$"):
            text_from_file(tmp_path / "a.csv", 3).features(["wave", "jump"])


class TestTables:
    def test_methods_that_are_told_names_are_marked_and_kept_apart(self):
        told = [answered("zero-shot", 0.9, seed=1), answered("text-prototype", 0.6, seed=2)]
        told = [replace(run, declared=run.declared.changed(needs_text=True)) for run in told]
        runs = [answered("protonet", 0.7, seed=3), answered("otam", 0.9, seed=4), *told]
        rows = {row.method: row for row in compare_on_one_bank(runs, "protonet").rows}
        assert rows["otam"].verdict == "better"
        assert rows["zero-shot"].verdict == rows["text-prototype"].verdict == "names"
        assert rows["zero-shot"].group == ()
        assert marked(rows["zero-shot"]) == "zero-shot (names)"
        assert marked(rows["otam"]) == "otam"
        among = {row.method: row for row in compare_on_one_bank(told, "text-prototype").rows}
        assert among["zero-shot"].verdict == "better"

    def test_a_declared_family_compares_them(self):
        told = answered("zero-shot", 0.9, seed=1)
        told = replace(told, declared=told.declared.changed(needs_text=True))
        runs = [answered("protonet", 0.7, seed=3), told]
        found = compare_on_one_bank(runs, "protonet", family=[("zero-shot", "protonet")])
        assert [versus.verdict for versus in found.declared] == ["better"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return videos_of(tmp_path_factory.mktemp("own") / "videos", NAMES, 3)


def test_without_a_text_tower_such_methods_are_refused_or_left_out(own: Path, tmp_path: Path):
    words = ("run", "--data", own, "--episodes", "5", "--out", tmp_path / "out")
    assert "reads the names of classes" in refused(*words, "--methods", "zero-shot")


def test_a_run_with_another_prompt_is_not_replaced(own: Path, tmp_path: Path):
    words = ("run", "--data", own, "--methods", "zero-shot", "--episodes", "5")
    words = (*words, "--backbone", "motion-words", "--out", tmp_path / "out")
    for prompt, expected in (("a video of {}", 0), ("a clip of {}", 2)):
        status, said = call(*words, "--prompt", prompt)
        assert status == expected, said
    assert "prompt a video of {}, not a clip of {}" in said


def test_text_computed_elsewhere_is_part_of_the_identity(own: Path, tmp_path: Path):
    rng = np.random.default_rng(0)
    for seed in (0, 1):
        names = ("brush hair", "wave", "Ride Bike")
        lines = [",".join([name, *map(str, rng.normal(size=96))]) for name in names]
        (tmp_path / f"{seed}.csv").write_text("\n".join(lines))
        words = ("run", "--data", own, "--methods", "zero-shot,protonet", "--episodes", "20")
        succeeds(*words, "--text", tmp_path / f"{seed}.csv", "--out", tmp_path / f"out{seed}")
    told, untold = (
        [read_run(tmp_path / f"out{seed}" / name).identity for seed in (0, 1)]
        for name in ("zero-shot", "protonet")
    )
    assert told[0].text != told[1].text
    assert untold[0] == untold[1]


def test_classes_that_names_cannot_tell_apart_are_said(own: Path, tmp_path: Path):
    """The tower knows no word of the three names."""
    words = ("run", "--data", own, "--episodes", "5", "--methods", "zero-shot,text-prototype")
    words = (*words, "--backbone", "motion-words", "--prompt", "a b {}", "--out", tmp_path / "out")
    said = call(*words)[1]
    assert said.count(": motion-words has one text feature for 3 of 3 classes") == 1
    lines = "\n".join(
        f"{name},{','.join(['1'] * number + ['0'] * (96 - number))}"
        for number, name in enumerate(("brush hair", "wave", "Ride Bike"), start=1)
    )
    (tmp_path / "a.csv").write_text(lines)
    words = (*words[:8], "--text", tmp_path / "a.csv", "--out", tmp_path / "other")
    assert "one text feature" not in call(*words)[1]


@pytest.mark.parametrize("classes", [5, 64])
def test_rounding_does_not_tell_names_apart(classes: int):
    labels = [f"c{number}" for number in range(classes)]
    vector = np.random.default_rng(2).normal(size=512).astype(np.float32)
    text = TextSource(None, "", "file", table=dict.fromkeys(labels, vector))
    said = indistinct(text, dataset("rendered"), labels)
    assert f"for {classes} of {classes} classes" in said


@pytest.mark.parametrize("command", ["run", "train"])
def test_names_for_methods_that_read_none_are_refused(command: str, tmp_path: Path):
    methods = ("--methods", "otam") if command == "run" else ("otam",)
    words = (command, *methods, "--backbone", "motion-words", "--out", tmp_path / "out")
    assert "--prompt has no effect" in refused(*words, "--prompt", "a {}")


@needs_transformers
class TestClip:
    @pytest.fixture(scope="class", params=["clip", "siglip"])
    def model(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
        """A tiny random model with both towers and a tokenizer, as `save_pretrained` writes it."""
        return tiny_model(request.param, tmp_path_factory.mktemp(request.param))

    def test_a_folder_of_own_videos_runs(self, model: Path, own: Path, tmp_path: Path):
        words = ("run", "--data", own, "--backbone", f"clip={model}", "--episodes", "20")
        chosen = "zero-shot,clip-fsar,text-prototype,protonet"
        succeeds(*words, "--methods", chosen, "--prompt", "a {}", "--out", tmp_path)
        assert predictions(tmp_path).keys() == set(chosen.split(","))
        header = json.loads((tmp_path / "zero-shot" / "run.json").read_text())
        assert header["identity"]["text"]["prompt"] == "a {}"
        assert header["declared"]["needs_text"] is True

    def test_patches_lie_on_their_grid(self, model: Path):
        """A picture whose lower left patch alone is bright differs there most."""
        loaded = load_backbone(f"clip-patches={model}", CPU).backbone
        assert loaded.grid == (8, 2, 2)
        dark = torch.zeros(1, 3, 8, 32, 32)
        bright = dark.clone()
        bright[..., 16:, :16] = 3.0
        with torch.no_grad():
            moved = (loaded(bright) - loaded(dark)).norm(dim=1)[0]
        assert moved.shape == (8, 2, 2)
        assert (moved.flatten(1).argmax(dim=1) == 2).all()

    def test_the_prompt_is_the_towers_own_where_none_is_given(self, model: Path):
        loaded = load_backbone(f"clip={model}", CPU)
        source = text_source(loaded, None, None)
        assert source.prompt == loaded.backbone.prompt == "a photo of {}"

    def test_a_prompt_has_a_place_for_the_name(self, model: Path, own: Path, tmp_path: Path):
        said = refused(
            *("run", "--data", own, "--backbone", f"clip={model}", "--methods", "zero-shot"),
            *("--prompt", "a photo", "--episodes", "5", "--out", tmp_path),
        )
        assert "no single place" in said


def tiny_model(kind: str, folder: Path) -> Path:
    """Write a tiny random CLIP or SigLIP with a tokenizer of single letters."""
    import transformers
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    special = {"<pad>": 0, "<s>": 1, "</s>": 2, "?": 3}
    letters = {letter: 4 + place for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz ")}
    tokenizer = Tokenizer(models.WordLevel(special | letters, unk_token="?"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = sizes | {"vocab_size": 31, "max_position_embeddings": 40}
    text |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    vision = sizes | {"image_size": 32, "patch_size": 16}
    name, more = {"clip": ("CLIPModel", {"projection_dim": 24}), "siglip": ("SiglipModel", {})}[
        kind
    ]
    config = {"text_config": text, "vision_config": vision} | more
    make(name, config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def test_only_the_place_for_the_name_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Tower:
        prompt, channels = "{}", 2

        def encode_text(self, texts: list[str]) -> torch.Tensor:
            assert texts == ["a cat in {braces}"]
            return torch.ones(1, 2)

    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    source = TextSource(Tower(), "key", "tower", "a {} in {braces}")
    assert source.features(["cat"]).tolist() == [[1, 1]]


def test_another_tower_of_the_same_weights_encodes_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "cache"))

    def encoded(value: int) -> list[list[float]]:
        """Text features by a backbone without weights whose code alone differs."""
        path = tmp_path / f"tower_{value}.py"
        path.write_text(TOWER.format(value=value))
        backbone = vars(load_file(path))["Tower"]()
        source = text_source(LoadedBackbone(backbone, "no weights"), None, None)
        found: list[list[float]] = source.features(["wave"]).tolist()
        return found

    with plugins_as_they_were():
        assert encoded(1) == [[1, 1]]
        assert encoded(2) == [[2, 2]]


TOWER = """
import torch

from bench.backbone import Backbone, InputSpec


class Tower(Backbone):
    name, revision, source, pretraining = "tower", 1, "a test", "nothing"
    input = InputSpec(1, 1, (0.0,) * 3, (1.0,) * 3)
    channels, grid, prompt = 2, (1, 1, 1), "{{}}"

    def encode_text(self, texts):
        return torch.full((len(texts), 2), {value})
"""
