"""Forecasts of the time, disk and memory of runs and trainings, from measurements of seconds.

The time of a stage is that of a unit (a video decoded, an episode scored, a step of training taken)
multiplied by the number of units. Heavy: a command imports it when it runs.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import torch
from tabulate import tabulate

from bench.commands.measuring import Measures, Videos, overlapped, pace_on, prepared
from bench.features.backbones import LoadedBackbone
from bench.features.embedding import open_store
from bench.machine.device import peak_memory, repeatable
from bench.machine.progress import duration
from bench.method import FeatureShape
from bench.running.containment import contained
from bench.running.execute import READ_AT_ONCE, TOGETHER, Group, groups_to_do
from bench.running.plan import Plan, alike, backbone_of, embedding, preparing, scoring
from bench.training.meta import build, whole_loss
from bench.training.plan import Training
from bench.training.state import steps_taken
from bench.training.stream import EpisodeBatch, training_stream
from bench.training.validation import BATCH as VALIDATION_BATCH
from episodes.cache import cache_folder
from episodes.datasets import dataset
from episodes.decoding.sampling import clip_count, one_clip
from episodes.errors import UserError

FEW = 200
"""Runs and trainings of fewer episodes are not measured first, which would take as long."""
ROW_BYTES = 6
"""Bytes of a query's row on disk, compressed."""


@dataclass(frozen=True)
class ForecastPart:
    """A stage, under the title that `bench.machine.progress` shows."""

    title: str
    work: str
    seconds: float
    """NaN where it could not be tried."""


@dataclass
class Forecast:
    """The stages to come, and what they need."""

    parts: list[ForecastPart] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    """Titles of what is done already, and will be reused."""
    embedded: int = 0
    """Number of videos to embed; one that two backbones or samplings embed counts twice."""
    disk_bytes: int = 0
    memory_bytes: int = 0
    """Memory of the process, or of the GPU where there is one."""
    problems: list[str] = field(default_factory=list)
    """Why a method could not be tried."""

    @property
    def seconds(self) -> float:
        """All stages together, without those that could not be tried."""
        return sum(part.seconds for part in self.parts if not math.isnan(part.seconds))

    @property
    def expected(self) -> Mapping[str, Sequence[float]]:
        """Title -> seconds of its stages in order, as a `Reporter` takes them."""
        expected: dict[str, list[float]] = {}
        for part in self.parts:
            seconds = 0.0 if math.isnan(part.seconds) else part.seconds
            expected.setdefault(part.title, []).append(seconds)
        return expected

    def time(self) -> str:
        """Say how long everything takes, and what that assumes."""
        return f"about {duration(self.seconds)} in all, if this machine stays as busy as it is"

    def in_words(self) -> str:
        """Say how long everything takes, and which stages take longest."""
        tried = [part for part in self.parts if not math.isnan(part.seconds)]
        longest = sorted((-part.seconds, part.title) for part in tried)[:3]
        named = ", ".join(f"{title} {duration(-seconds)}" for seconds, title in longest)
        return f"{self.time()}: {named}"

    def table(self) -> str:
        """Return everything, for people."""
        rows = [(part.title, part.work, duration(part.seconds)) for part in self.parts]
        rows += [(title, "there already", "") for title in self.there]
        place = cache_folder().absolute()
        existing = next(one for one in (place, *place.parents) if one.exists())
        free = shutil.disk_usage(existing).free
        lines = [
            tabulate(rows, ["stage", "work", "time"], tablefmt="simple"),
            f"to embed: {self.embedded:,} videos",
            f"disk: {_bytes(self.disk_bytes)} more, {_bytes(free)} are free",
            f"memory: {_bytes(self.memory_bytes)}",
            *(f"cannot be tried: {problem}" for problem in self.problems),
            f"time: {self.time()}",
        ]
        return "\n".join(lines) + "\n"

    def content(self) -> dict[str, object]:
        """Return everything, for JSON."""
        return asdict(self) | {"seconds": self.seconds}


def _bytes(count: int) -> str:
    unit, size = ("GB", 1e9) if count >= 1e9 else ("MB", 1e6)
    return f"{count / size:,.1f} {unit}"


def of_run(plan: Plan) -> Forecast:
    """Forecast `bench.running.execute.execute`.

    Raises:
        UserError: the run itself would be refused, for missing videos for example.
    """
    forecast, measures = Forecast(), Measures(plan.device)
    for bank in plan.banks:
        used = [bank.split.videos[index] for index in bank.used_videos()]
        if plan.given is not None:
            videos = Videos(used, plan.given.files(used), (), 0.0)
        else:
            videos = prepared(bank.source, bank.recipe.split, used)
        if videos.files is None:
            work = f"{len(used):,} videos at most"
            forecast.parts.append(ForecastPart(preparing(bank), work, videos.seconds))
            sizes = [file.path.stat().st_size for file in videos.sample if file.path.is_file()]
            forecast.disk_bytes += sum(sizes) * len(used) // max(len(sizes), 1)
            groups: Sequence[Group] = list(alike(plan))
        else:
            groups = groups_to_do(plan, bank, videos.files)
        todo = [chosen for _, group in groups for chosen in group]
        forecast.there += [scoring(one, bank) for one in plan.methods if one not in todo]
        if plan.given is None:
            _embed(plan, videos, groups, measures, forecast)
        shape = FeatureShape(plan.backbone.backbone.channels, *plan.backbone.backbone.grid)
        size = 4 * math.prod(shape) * len(used)
        for chosen in todo:
            try:
                seconds, kept = measures.method(chosen.method, shape, bank, plan.batch_size)
            except UserError as error:
                forecast.problems.append(str(error))
                seconds, kept = math.nan, 0
            work = f"{len(bank.episodes):,} episodes"
            forecast.parts.append(ForecastPart(scoring(chosen, bank), work, seconds))
            forecast.disk_bytes += ROW_BYTES * bank.episodes.query.size
            held = kept + (size if size <= READ_AT_ONCE else 0)
            forecast.memory_bytes = max(forecast.memory_bytes, held)
    forecast.memory_bytes += peak_memory(plan.device)
    return forecast


def _embed(
    plan: Plan,
    videos: Videos,
    groups: Sequence[Group],
    measures: Measures,
    forecast: Forecast,
) -> None:
    """Add the videos to decode and embed, with backbones grouped as a run groups them."""
    for first in range(0, len(groups), TOGETHER):
        together = groups[first : first + TOGETHER]
        wanted = [(backbone_of(plan, group[0]), sampling) for sampling, group in together]
        lacking = [_lacking(*one, videos, plan.device) for one in wanted]
        if not any(lacking):
            continue
        rules = [sampling for sampling, _ in together]
        needed = [rule for rule, count in zip(rules, lacking, strict=True) if count]
        clips = sum(clip_count(rule) * count for rule, count in zip(rules, lacking, strict=True))
        decoded = max(lacking)
        seconds = measures.both(
            wanted[0][0], tuple(dict.fromkeys(needed)), videos.sample, decoded, clips
        )
        work = f"{decoded:,} videos" + (" at most" if videos.files is None else "")
        forecast.parts.append(ForecastPart(embedding(rules), work, seconds))
        forecast.embedded += sum(lacking)
        for (loaded, _), missing in zip(wanted, lacking, strict=True):
            shape = FeatureShape(loaded.backbone.channels, *loaded.backbone.grid)
            forecast.disk_bytes += 4 * math.prod(shape) * missing


def _lacking(loaded: LoadedBackbone, sampling: str, videos: Videos, device: torch.device) -> int:
    """The number of videos still to embed; all of them where that is not known."""
    if videos.files is None:
        return len(videos.used)
    return len(open_store(loaded, sampling, device).missing(loaded.keys(videos.files)))


def of_trainings(trainings: Sequence[Training]) -> Forecast:
    """Forecast `bench.training.meta.train`; seeds of a method take equally long.

    Raises:
        UserError: a training itself would be refused.
    """
    forecast, measures = Forecast(), Measures(trainings[0].device)
    steps: dict[str, Steps] = {}
    for training in trainings:
        if training.method.name not in steps:
            steps[training.method.name] = _steps(training, measures, forecast)
        left = training.recipe.steps - steps_taken(training.folder)
        work = f"{left * training.recipe.episodes_per_step:,} episodes"
        seconds = steps[training.method.name].seconds(training, left)
        forecast.parts.append(ForecastPart(f"train {training.title}", work, seconds))
    return forecast


class Steps(NamedTuple):
    """The time that parts of a training take."""

    step: float
    """Seconds of an optimiser step."""
    validation: float
    """Seconds of one validation."""
    decoding: float
    """Seconds to decode the videos of all steps, by all processors."""

    def seconds(self, training: Training, steps: int) -> float:
        """Return the time of the whole training, with a number of steps still to take."""
        validations = 1 + math.ceil(steps / training.recipe.validate_every)
        computing = steps * self.step + validations * self.validation
        return overlapped(self.decoding, computing, training.device)


def _steps(training: Training, measures: Measures, forecast: Forecast) -> Steps:
    """Measure a training, and add the stages before it: videos to prepare, features to embed."""
    stream = training_stream(training.validation, training.recipe, training.seed)
    bank, loaded, sampling = training.validation, training.backbone, training.sampling
    decoding, embedding_all, lacked = 0.0, 0.0, 0
    for split, used in ((stream.split, stream.used_videos()), (bank.split, bank.used_videos())):
        if training.given is not None:
            continue
        source = dataset(split.dataset)
        videos = prepared(source, split.name, [split.videos[index] for index in used])
        title = f"prepare {source.name} {split.name} videos"
        if videos.files is None and title not in forecast.expected:
            work = f"{len(used):,} videos at most"
            forecast.parts.append(ForecastPart(title, work, videos.seconds))
        if training.tuned:
            each = measures.decode(loaded, one_clip(sampling), videos.sample)
            decoding += each * len(used)
        elif embedding([sampling]) in forecast.expected:  # for another method
            continue
        elif lacking := _lacking(loaded, sampling, videos, training.device):
            clips = lacking * clip_count(sampling)
            embedding_all += measures.both(loaded, sampling, videos.sample, lacking, clips)
            lacked += lacking
    if lacked:
        forecast.embedded += lacked
        work = f"{lacked:,} videos"
        forecast.parts.append(ForecastPart(embedding([sampling]), work, embedding_all))
    batch = stream.window(0, training.recipe.episodes_at_once)
    passes = training.recipe.episodes_per_step // training.recipe.episodes_at_once
    if training.tuned and training.recipe.jitter:  # other frames at every step
        decoding += each * len(batch.videos) * passes * training.recipe.steps
    validation, _ = measures.method(training.method, training.shape, bank, VALIDATION_BATCH)
    if training.tuned:
        validation += measures.embed(loaded) * len(bank.used_videos()) * clip_count(sampling)
    step = passes * _pass_seconds(training, batch, len(stream.split.classes))
    return Steps(step, validation, decoding)


def _pass_seconds(training: Training, batch: EpisodeBatch, classes: int) -> float:
    """Seconds of a forward and backward pass over random inputs, with an optimiser step."""
    spec = training.backbone.backbone.input
    shape = (3, spec.frames, spec.size, spec.size) if training.tuned else training.shape
    inputs = torch.randn(len(batch.videos), *shape).to(training.device)
    batch = batch.to(training.device)
    with contained(training.method.name, training.seed), repeatable(training.device):
        learner, optimiser = build(training, classes)

        def work(count: int) -> None:
            for _ in range(count):
                optimiser.zero_grad()
                whole_loss(learner(inputs, batch), training).backward()
                optimiser.step()

        return pace_on(training.device, work, 64)
