"""How long a run or a training will take, and what it needs, from measurements of a few seconds.

What a stage does again and again is tried a few times (a video is prepared, decoded, embedded; an
episode is scored; a step of training is taken) and multiplied. Methods are tried on random numbers
of the right shape, so that this may come before any video is looked at. Heavy: a command imports
it when it runs.
"""

import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from typing import NamedTuple

import torch
from tabulate import tabulate
from torch import Tensor

from bench.features.backbones import LoadedBackbone
from bench.features.clips import load_clips
from bench.features.embedding import open_store
from bench.features.filling import BATCH
from bench.machine.device import peak_memory, repeatable, wait_for
from bench.machine.progress import duration
from bench.method import ConfiguredMethod, FeatureShape, PairMethod
from bench.running import pairs
from bench.running.containment import contained
from bench.running.execute import (
    READ_AT_ONCE,
    TOGETHER,
    Plan,
    alike,
    backbone_of,
    embedding,
    groups_to_do,
    preparing,
    scoring,
)
from bench.running.loop import cached, encode
from bench.running.scoring import score, tensors
from bench.training.meta import build
from bench.training.outcome import finished
from bench.training.plan import Training
from bench.training.state import steps_taken
from bench.training.stream import EpisodeBatch, training_stream
from bench.training.validation import BATCH as VALIDATION_BATCH
from bench.weights.assignment import MethodWithWeights
from episodes.banks.bank import Bank
from episodes.cache import cache_folder
from episodes.datasets import Dataset, dataset
from episodes.decoding.readings import Readings
from episodes.decoding.sampling import clip_count, one_clip
from episodes.errors import UserError
from episodes.split import SplitName, Video, VideoFile

Work = Callable[[int], object]
Clock = Callable[[], float]
ENOUGH = 0.05
"""Seconds after which a measurement is believed."""
PATIENCE = 3.0
"""Seconds after which nothing further is tried."""
SAMPLE = 9
"""Videos that are prepared, to see how long that takes."""
AT_ONCE = 3.0
"""Seconds in which all videos may be prepared here; then those to be embedded can be counted."""
TRIED_VIDEOS, TRIED_BYTES, TRIED_EPISODES = 96, 48 << 20, 256
"""Most that a method is tried on."""
ROW_BYTES = 6
"""Bytes of a query's row on disk, compressed."""


def pace(work: Work, most: int, clock: Clock = time.perf_counter) -> float:
    """Seconds that a unit of work takes, where many are done together.

    One unit warms up, one is tried, then more and more: until they last, and more gain nothing.

    Args:
        work: does so many units.
        most: units there are, at least 1.
        clock: tells seconds.
    """
    if (first := _timed(work, 1, clock)) >= 10 * PATIENCE:
        return first
    began, units, each, gained = clock(), 1, _timed(work, 1, clock), True
    while units < most and clock() - began < PATIENCE and (gained or each * units < ENOUGH):
        more = min(most, units * (2 if units == 1 and each >= ENOUGH else 8))
        before, units, each = each, more, _timed(work, more, clock) / more
        gained = each < before / 1.5
    if each * units >= PATIENCE:
        return each
    return min(each, _timed(work, units, clock) / units)  # something else may have been computed


def slope(work: Work, units: int, clock: Clock = time.perf_counter) -> float:
    """Seconds that a unit of work takes where each call costs something itself: new processes."""
    one = _timed(work, 1, clock)
    if units < 2:
        return one
    return max(_timed(work, units, clock) - one, 0.0) / (units - 1)


def overlapped(decoding: float, computing: float, gpu: bool, share: float) -> float:
    """Seconds in which videos are decoded and embedded side by side.

    A GPU does not wait for the processors that decode; a CPU does both.

    Args:
        decoding: seconds, by all processors.
        computing: seconds.
        gpu: whether a GPU computes.
        share: of the processors that compute, where no GPU does.
    """
    return max(computing, decoding if gpu else decoding + share * computing)


def _timed(work: Work, units: int, clock: Clock) -> float:
    start = clock()
    work(units)
    return clock() - start


class Part(NamedTuple):
    """A stage, under the title with which `bench.machine.progress` tells of it."""

    title: str
    work: str
    seconds: float
    """NaN where it could not be tried."""


@dataclass
class Forecast:
    """What is to be done, and what it takes."""

    parts: list[Part] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    """Titles of what is there already, and will be reused."""
    embedded: int = 0
    """Videos to decode and embed; those that two backbones embed count twice."""
    disk_bytes: int = 0
    memory_bytes: int = 0
    """Of the process, or of the GPU where there is one."""
    problems: list[str] = field(default_factory=list)
    """Why a method could not be tried."""

    @property
    def seconds(self) -> float:
        """All stages together, but for those that could not be tried."""
        return sum(part.seconds for part in self.parts if not math.isnan(part.seconds))

    @property
    def expected(self) -> Mapping[str, Sequence[float]]:
        """Seconds of the stages of each title, in their order, as a `Reporter` wants them."""
        found: dict[str, list[float]] = {}
        for part in self.parts:
            seconds = 0.0 if math.isnan(part.seconds) else part.seconds
            found.setdefault(part.title, []).append(seconds)
        return found

    def in_words(self) -> str:
        """Say how long all of it takes, and what takes longest."""
        tried = [part for part in self.parts if not math.isnan(part.seconds)]
        longest = sorted((-part.seconds, part.title) for part in tried)[:3]
        named = ", ".join(f"{title} {duration(-seconds)}" for seconds, title in longest)
        return f"about {duration(self.seconds)} in all, as measured here: {named}"

    def table(self) -> str:
        """Return everything, for people."""
        rows = [(part.title, part.work, duration(part.seconds)) for part in self.parts]
        rows += [(title, "there already", "") for title in self.there]
        place = cache_folder().absolute()
        existing = next(one for one in (place, *place.parents) if one.exists())
        free = shutil.disk_usage(existing).free
        lines = [
            tabulate(rows, ["stage", "work", "time"], tablefmt="simple"),
            f"to decode and embed: {self.embedded:,} videos",
            f"disk: {_bytes(self.disk_bytes)} more, {_bytes(free)} are free",
            f"memory: {_bytes(self.memory_bytes)}",
            *(f"cannot be tried: {problem}" for problem in self.problems),
            f"time: about {duration(self.seconds)} in all, as measured here",
        ]
        return "\n".join(lines) + "\n"

    def content(self) -> dict[str, object]:
        """Return everything, for JSON."""
        return asdict(self) | {
            "parts": [part._asdict() for part in self.parts],
            "seconds": self.seconds,
        }


def _bytes(count: int) -> str:
    """Say how many, in the unit that fits."""
    unit, size = ("GB", 1e9) if count >= 1e9 else ("MB", 1e6)
    return f"{count / size:,.1f} {unit}"


@dataclass(frozen=True)
class _Videos:
    """Videos of a split, and what is known of them without making those that can be made."""

    used: Sequence[Video]
    files: Sequence[VideoFile] | None
    """Of all of them; None if preparing them would take long."""
    sample: Sequence[VideoFile]
    """Of some of them."""
    seconds: float
    """What preparing the others takes."""


def _prepared(source: Dataset, split: SplitName, used: Sequence[Video]) -> _Videos:
    sample = used[:SAMPLE]  # of one class, whose others a data set may look at as well
    some: list[VideoFile] = []

    def prepare(count: int) -> None:
        some[:] = source.files(split, sample[:count], lambda *_: None)

    seconds = slope(prepare, len(sample)) * len(used)
    if seconds > AT_ONCE:
        return _Videos(used, None, some, seconds)
    files = source.files(split, used, lambda *_: None)
    return _Videos(used, files, files[:: max(1, len(used) // (4 * SAMPLE))], 0.0)


class _Measures:
    """Speeds of this machine, each measured once."""

    def __init__(self, device: torch.device, clock: Clock = time.perf_counter) -> None:
        """Nothing is measured yet."""
        self._device, self._clock = device, clock
        self._known: dict[object, float] = {}
        self._features: dict[tuple[int, ...], Tensor] = {}

    def _once(self, key: object, measure: Callable[[], float]) -> float:
        if key not in self._known:
            self._known[key] = measure()
        return self._known[key]

    def features(self, shape: FeatureShape, videos: int) -> Tensor:
        """Random maps of some videos, float32 (videos, C, T, H, W)."""
        key = (videos, *shape)
        if key not in self._features:
            self._features = {key: torch.rand(key, generator=torch.Generator().manual_seed(0))}
        return self._features[key]

    def decode(self, loaded: LoadedBackbone, sampling: str, sample: Sequence[VideoFile]) -> float:
        """Seconds to decode a video while others are decoded; each is decoded afresh."""
        spec, videos = loaded.backbone.input, cycle(sample)

        def work(count: int) -> None:
            files = list(islice(videos, count))
            for _ in load_clips(files, spec, sampling, loaded.decoder):
                pass

        def measure() -> float:
            work(os.cpu_count() or 1)  # starts the processes that decode
            return pace(work, 32, self._clock)

        return self._once((spec, sampling, loaded.decoder), measure)

    def embed(self, loaded: LoadedBackbone) -> float:
        """Seconds to embed a clip."""
        backbone, spec = loaded.backbone, loaded.backbone.input
        clips = torch.zeros(BATCH, 3, spec.frames, spec.size, spec.size)

        @torch.no_grad()
        def work(count: int) -> None:
            backbone(clips[:count].to(self._device))
            wait_for(self._device)

        return self._once((type(backbone), spec), lambda: pace(work, BATCH, self._clock))

    def both(
        self,
        loaded: LoadedBackbone,
        sampling: str,
        sample: Sequence[VideoFile],
        decoded: int,
        embedded: int,
    ) -> float:
        """Seconds to decode some videos and embed some, side by side; batches are filled up."""
        batches = math.ceil(embedded / BATCH) * BATCH
        share = torch.get_num_threads() / (os.cpu_count() or 1)
        return overlapped(
            self.decode(loaded, sampling, sample) * decoded,
            self.embed(loaded) * clip_count(sampling) * batches,
            self._device.type == "cuda",
            min(share, 1.0),
        )

    def method(
        self, entry: ConfiguredMethod, shape: FeatureShape, bank: Bank, batch: int
    ) -> tuple[float, int]:
        """Seconds that a method takes on a bank, from features on, and bytes it keeps of videos.

        Raises:
            UserError: the method fails.
        """
        episodes, videos = bank.episodes, len(bank.used_videos())
        in_episode = episodes.support[0].size + episodes.query[0].size
        most = max(in_episode, TRIED_BYTES // (4 * math.prod(shape)))
        features = self.features(shape, min(videos, TRIED_VIDEOS, most))
        tried, device = len(features), self._device
        with contained(entry.name, 0), torch.no_grad():
            method = entry.build(shape, 0).to(device)
            encoded = encode(method, features, device)
            kept = sum(tensor[:1].nbytes for tensor in tensors(encoded)) * videos
            seconds = videos * self._device_pace(
                lambda count: encode(method, features[:count], device), tried
            )
            if isinstance(method, PairMethod) and pairs.repay(method, episodes, videos):
                compare = self._device_pace(
                    lambda _: pairs.similarities(method, encoded, device, lambda *_: None), 1
                )
                return seconds + compare * (videos / tried) ** 2, kept + 4 * videos**2
            text = torch.rand(tried, shape.channels, device=device) if method.needs_text else None
            size = cached(batch, encoded, episodes, device)
            support, query = (
                torch.from_numpy(one[:TRIED_EPISODES] % tried).long()
                for one in (episodes.support, episodes.query)
            )

            def answer(count: int) -> None:
                for first in range(0, count, size):
                    window = slice(first, min(first + size, count))
                    score(method, encoded, support[window], query[window], device, text)

            return seconds + len(episodes) * self._device_pace(answer, len(support)), kept

    def _device_pace(self, work: Work, most: int) -> float:
        def waited(count: int) -> None:
            work(count)
            wait_for(self._device)

        return pace(waited, most, self._clock)


def of_run(plan: Plan) -> Forecast:
    """Foresee what `bench.running.execute.execute` will do.

    Raises:
        UserError: what the run would be refused for too, such as missing videos.
    """
    forecast, measures = Forecast(), _Measures(plan.device)
    for bank in plan.banks:
        used = [bank.split.videos[index] for index in bank.used_videos()]
        if plan.given is not None:
            videos = _Videos(used, plan.given.files(used), (), 0.0)
        else:
            videos = _prepared(bank.source, bank.recipe.split, used)
        if videos.files is None:
            work = f"{len(used):,} videos at most"
            forecast.parts.append(Part(preparing(bank), work, videos.seconds))
            sizes = [file.path.stat().st_size for file in videos.sample if file.path.is_file()]
            forecast.disk_bytes += sum(sizes) * len(used) // max(len(sizes), 1)
            groups = list(alike(plan))
        else:
            groups = [
                (group.sampling, [chosen for chosen, _ in group.todo])
                for group in groups_to_do(plan, bank, videos.files)
                if group.todo
            ]
        todo = [chosen for _, group in groups for chosen in group]
        forecast.there += [scoring(one, bank) for one in plan.methods if one not in todo]
        if plan.given is None:
            _embed(plan, videos, groups, measures, forecast)
        shape = FeatureShape(plan.backbone.backbone.channels, *plan.backbone.backbone.grid)
        size = 4 * math.prod(shape) * len(used)
        for chosen in todo:
            work, seconds, kept = f"{len(bank.episodes):,} episodes", math.nan, 0
            try:
                entry = chosen.entry
                seconds, kept = measures.method(entry, shape, bank, plan.batch_size)
            except UserError as error:
                forecast.problems.append(str(error))
            forecast.parts.append(Part(scoring(chosen, bank), work, seconds))
            forecast.disk_bytes += ROW_BYTES * bank.episodes.query.size
            held = kept + (size if size <= READ_AT_ONCE else 0)
            forecast.memory_bytes = max(forecast.memory_bytes, held)
    forecast.memory_bytes += peak_memory(plan.device)
    return forecast


def _embed(
    plan: Plan,
    videos: _Videos,
    groups: Sequence[tuple[str, Sequence[MethodWithWeights]]],
    measures: _Measures,
    forecast: Forecast,
) -> None:
    """Add what is to be decoded and embedded, those backbones together that a run has together."""
    for sampling in dict.fromkeys(sampling for sampling, _ in groups):
        same = [group for one, group in groups if one == sampling]
        for first in range(0, len(same), TOGETHER):
            backbones = [backbone_of(plan, group[0]) for group in same[first : first + TOGETHER]]
            lacking = [_lacking(loaded, sampling, videos, plan.device) for loaded in backbones]
            if not any(lacking):
                continue
            seconds = measures.both(
                backbones[0], sampling, videos.sample, max(lacking), sum(lacking)
            )
            work = f"{max(lacking):,} videos" + (" at most" if videos.files is None else "")
            forecast.parts.append(Part(embedding(sampling), work, seconds))
            forecast.embedded += sum(lacking)
            for loaded, missing in zip(backbones, lacking, strict=True):
                shape = FeatureShape(loaded.backbone.channels, *loaded.backbone.grid)
                forecast.disk_bytes += 4 * math.prod(shape) * missing


def _lacking(loaded: LoadedBackbone, sampling: str, videos: _Videos, device: torch.device) -> int:
    """How many videos are still to be embedded; all of them where that cannot be known."""
    if videos.files is None:
        return len(videos.used)
    keys = map(Readings(loaded.decoder).key, videos.files)
    return len(open_store(loaded, sampling, device).missing(keys))


def of_trainings(trainings: Sequence[Training]) -> Forecast:
    """Foresee what `bench.training.meta.train` will do; seeds of a method take equally long.

    Raises:
        UserError: what a training would be refused for too.
    """
    forecast, measures = Forecast(), _Measures(trainings[0].device)
    steps: dict[str, _Steps] = {}
    for training in trainings:
        title = f"train {training.title}"
        if finished(training.folder, training.identity()):
            forecast.there.append(title)
            continue
        if training.entry.name not in steps:
            steps[training.entry.name] = _steps(training, measures, forecast)
        left = training.recipe.steps - steps_taken(training.folder)
        work = f"{left * training.recipe.episodes_per_step:,} episodes"
        forecast.parts.append(Part(title, work, steps[training.entry.name].seconds(training, left)))
    return forecast


class _Steps(NamedTuple):
    """What a training takes."""

    step: float
    """Seconds of an optimiser step."""
    look: float
    """Seconds of one validation."""
    decoding: float
    """Seconds to decode the videos of all steps, by all processors."""

    def seconds(self, training: Training, steps: int) -> float:
        """All of it, for so many steps."""
        looks = 1 + math.ceil(steps / training.recipe.validate_every)
        share = min(1.0, torch.get_num_threads() / (os.cpu_count() or 1))
        gpu = training.device.type == "cuda"
        return overlapped(self.decoding, steps * self.step + looks * self.look, gpu, share)


def _steps(training: Training, measures: _Measures, forecast: Forecast) -> _Steps:
    """Measure a training, and add what comes before it: videos to prepare, features to embed."""
    stream = training_stream(training.validation, training.recipe, training.seed)
    bank, loaded, sampling = training.validation, training.backbone, training.sampling
    decoding, embedding_all, lacked = 0.0, 0.0, 0
    for split, used in ((stream.split, stream.used_videos()), (bank.split, bank.used_videos())):
        if training.given is not None:
            continue
        source = dataset(split.dataset)
        videos = _prepared(source, split.name, [split.videos[index] for index in used])
        title = f"prepare {source.name} {split.name} videos"
        if videos.files is None and title not in forecast.expected:
            work = f"{len(used):,} videos at most"
            forecast.parts.append(Part(title, work, videos.seconds))
        if training.tuned:
            each = measures.decode(loaded, one_clip(sampling), videos.sample)
            decoding += each * len(used)
        elif embedding(sampling) in forecast.expected:  # for another method
            continue
        elif lacking := _lacking(loaded, sampling, videos, training.device):
            embedding_all += measures.both(loaded, sampling, videos.sample, lacking, lacking)
            lacked += lacking
    if lacked:
        forecast.embedded += lacked
        work = f"{lacked:,} videos"
        forecast.parts.append(Part(embedding(sampling), work, embedding_all))
    batch = stream.window(0, training.recipe.episodes_at_once)
    passes = training.recipe.episodes_per_step // training.recipe.episodes_at_once
    if training.tuned and training.recipe.jitter:  # other frames at every step
        decoding += each * len(batch.videos) * passes * training.recipe.steps
    look, _ = measures.method(training.entry, training.shape, bank, VALIDATION_BATCH)
    if training.tuned:
        look += measures.embed(loaded) * len(bank.used_videos()) * clip_count(sampling)
    step = passes * _pass_seconds(training, batch, len(stream.split.classes))
    return _Steps(step, look, decoding)


def _pass_seconds(training: Training, batch: EpisodeBatch, classes: int) -> float:
    """Seconds of a forward and backward pass over random inputs, and of a step of size 0."""
    spec = training.backbone.backbone.input
    shape = (3, spec.frames, spec.size, spec.size) if training.tuned else training.shape
    inputs = torch.randn(len(batch.videos), *shape).to(training.device)
    batch = batch.to(training.device)
    with contained(training.entry.name, training.seed), repeatable(training.device):
        learner, optimiser = build(training, classes)

        def work(count: int) -> None:
            for _ in range(count):
                optimiser.zero_grad()
                terms = learner(inputs, batch)
                torch.stack(list(terms.values())).sum().backward()
                optimiser.step()
            wait_for(training.device)

        return pace(work, 64)
