"""Augmentation obeys the recipe and the data set: nothing is mirrored where left is not right."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.backbone import InputSpec
from bench.features.backbones import with_preprocessing
from bench.machine.progress import Reporter
from bench.training import clips, meta
from bench.training.clips import ClipFormat, ClipLibrary, augmented, drawn_changes
from bench.training.inputs import Clips
from bench.training.stream import training_stream
from episodes.datasets import dataset, datasets
from episodes.decoding.sampling import Jittered, Sampling
from episodes.errors import UserError
from episodes.split import Video, VideoFile
from tests.training.test_meta_training import training


def test_flipping_mirrors_every_other_clip():
    torch.manual_seed(0)
    ramp = torch.linspace(-1, 1, 48).expand(64, 3, 2, 48, 48).contiguous()
    changed = augmented(ramp, drawn_changes(64, 0, recolour=False, flip=True), 0, 48)
    mirrored = (changed[..., 40] < changed[..., 8]).flatten(1).all(dim=1)
    assert 16 < mirrored.sum() < 48
    assert torch.equal(augmented(ramp, drawn_changes(64, 0, recolour=False), 0, 48), ramp)


def test_left_and_right_are_told_apart_where_classes_are_directions():
    expected = {"rendered": True, "ssv2-all": True, "ssv2-part": True}
    expected |= {"ucf101": False, "hmdb51": False, "kinetics-100": False}
    assert {name: datasets()[name].directional for name in expected} == expected


def ramp(file: object, spec: InputSpec, sampling: Sampling, *_: object) -> torch.Tensor:
    """A clip that grows brighter to the right."""
    return torch.arange(spec.size).expand(3, spec.frames, spec.size, spec.size).float()


def inputs_with(
    words: str, small_recipe: Path, tmp_path: Path, sampling: str | None, resize: str | None
) -> tuple[Clips, torch.Tensor]:
    """Clips of a recipe with some lines more, and the videos that it trains on."""
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f"{small_recipe.read_text()}\n{words}")
    planned = training(tmp_path, recipe, "otam", tuned=True)
    planned = replace(planned, backbone=with_preprocessing(planned.backbone, sampling, resize))
    stream = training_stream(planned.validation, planned.recipe, 0)
    inputs = Clips(planned, stream, ClipLibrary(planned.device), Reporter())
    return inputs, torch.from_numpy(stream.used_videos())


@pytest.mark.parametrize("directional", [True, False])
def test_a_recipe_may_mirror_only_where_the_data_set_lets_it(
    directional: bool, tmp_path: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clips, "load_clip", ramp)
    monkeypatch.setattr(type(dataset("rendered")), "directional", directional)
    words = "flip = true\nrecolour = false\nshift = 0\n"
    inputs, videos = inputs_with(words, small_recipe, tmp_path, None, None)
    taken = inputs.take(videos, slice(None), 0)
    assert bool((taken[..., 0] < taken[..., -1]).all()) is directional


@pytest.mark.parametrize("random_crop", [False, True])
def test_a_recipe_may_cut_clips_out_of_anywhere_in_the_picture(
    random_crop: bool, tmp_path: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clips, "load_clip", ramp)
    words = f"random_crop = {str(random_crop).lower()}\nrecolour = false\nshift = 0\n"
    inputs, videos = inputs_with(words, small_recipe, tmp_path, None, "64")
    taken = inputs.take(videos, slice(None), 0)
    assert taken.shape[1:] == (3, 16, 48, 48)
    assert torch.equal(taken[..., -1] - taken[..., 0], torch.full_like(taken[..., 0], 47))
    begins = set(taken[:, 0, 0, 0, 0].tolist())
    assert begins == {0.0} or (random_crop and len(begins) > 8 and begins <= set(range(17)))


def files_of(count: int) -> list[VideoFile]:
    return [VideoFile(Video("a", "g", str(n)), Path(str(n)), f"{n}") for n in range(count)]


def form(sampling: Sampling) -> ClipFormat:
    return ClipFormat(InputSpec(2, 4, (0.0,) * 3, (1.0,) * 3), sampling, torch.float32, None)


@pytest.mark.parametrize(("room", "decoded"), [(4, 4), (1, 6)])
def test_trainings_that_follow_share_decoded_clips_while_memory_lasts(
    room: int, decoded: int, monkeypatch: pytest.MonkeyPatch
):
    calls: list[Path] = []

    def load(file: VideoFile, spec: InputSpec, sampling: Sampling, *_: object) -> torch.Tensor:
        calls.append(file.path)
        return torch.full((3, 2, 4, 4), float(file.path.name))

    monkeypatch.setattr(clips, "load_clip", load)
    files = files_of(4)
    library = ClipLibrary(torch.device("cpu"), memory=room * 96 * 4)
    for rows in ([0, 1, 1, 3], [3, 2, 1, 0]):
        taken = library.take([(files[row], form("linspace")) for row in rows])
        assert taken[:, 0, 0, 0, 0].tolist() == rows
    library.close()
    assert len(calls) == decoded


def test_what_a_training_prepared_and_never_took_is_dropped(
    tmp_path: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    library, decoded = ClipLibrary(torch.device("cpu")), [1.0]
    jitters = [Jittered("linspace", 5, n / 10, 0.1) for n in range(8)]
    wanted = [(file, form(one)) for file, one in zip(files_of(8), jitters, strict=True)]

    def failing(*_: object) -> None:
        library.prepare(wanted)
        library.take(wanted[-1:])  # those before it are decoded, too
        raise UserError("enough")

    monkeypatch.setattr(clips, "load_clip", lambda *_: torch.full((3, 2, 4, 4), decoded[0]))
    monkeypatch.setattr(meta, "build", failing)
    with pytest.raises(UserError, match="enough"):
        meta.train(training(tmp_path, small_recipe), library, Reporter())
    decoded[0] = 2.0
    assert (library.take(wanted) == 2.0).all()
    library.close()


@pytest.mark.parametrize(("sampling", "ahead"), [("linspace", 40), ("9 x linspace", 5)])
def test_clips_ahead_of_those_taken_count_as_many_as_a_video_gives(
    sampling: str, ahead: int, monkeypatch: pytest.MonkeyPatch
):
    prepared: set[VideoFile] = set()
    monkeypatch.setattr(clips, "load_clip", lambda *_: torch.zeros(3, 2, 4, 4))
    monkeypatch.setattr("bench.features.clips.AHEAD_BYTES", 40 * 4 * 3 * 2 * 4 * 4)
    library = ClipLibrary(torch.device("cpu"))
    prepare = library.prepare
    monkeypatch.setattr(
        library,
        "prepare",
        lambda wanted: prepared.update(file for file, _ in wanted) or prepare(wanted),
    )
    next(library.each(files_of(100), form(sampling)))
    assert len(prepared) == ahead + 1
    library.close()


@pytest.mark.parametrize("jitter", [5, 0])
def test_jitter_is_drawn_anew_at_every_step_and_belongs_to_it(
    jitter: int, tmp_path: Path, small_recipe: Path, monkeypatch: pytest.MonkeyPatch
):
    sampled: list[Sampling] = []

    def load(file: object, spec: InputSpec, sampling: Sampling, *_: object) -> torch.Tensor:
        sampled.append(sampling)
        return torch.zeros(3, spec.frames, spec.size, spec.size)

    monkeypatch.setattr(clips, "load_clip", load)
    words = f"jitter = {jitter}\n"
    inputs, videos = inputs_with(words, small_recipe, tmp_path, "2 x linspace", None)
    for step in (1, 2, 1):
        inputs.take(videos[:3], slice(None), step)
    if not jitter:  # a video is decoded once
        assert sampled == ["linspace"] * 3
        return
    assert {type(one) for one in sampled} == {Jittered}
    assert {(one.rule, one.most) for one in sampled} == {("linspace", 5)}
    first, second, again = (set(sampled[at : at + 3]) for at in (0, 3, 6))
    assert first == again
    assert not first & second
    assert len(first | second) == 6
