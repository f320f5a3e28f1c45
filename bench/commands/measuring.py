"""Speeds of this machine, measured in seconds: preparing, decoding, embedding, scoring.

Each is tried on a few units of work. Methods are tried on random numbers of the right shape, before
any video is read.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import torch
from torch import Tensor

from bench.features.backbones import LoadedBackbone
from bench.features.clips import load_clips
from bench.features.filling import BATCH
from bench.machine.device import wait_for
from bench.method import ConfiguredMethod, FeatureShape, PairMethod
from bench.running import pairs
from bench.running.containment import contained
from bench.running.loop import cached, encode
from bench.running.scoring import score, tensors
from episodes.banks.bank import Bank
from episodes.datasets import Dataset
from episodes.decoding.sampling import Sampling
from episodes.errors import UserError
from episodes.split import SplitName, Video, VideoFile

Work = Callable[[int], object]
"""Does a number of units of work."""
Timer = Callable[[Work, int], float]
"""Does a number of units of work, and returns the seconds that they take."""
ENOUGH = 0.05
"""Seconds after which a measurement is reliable."""
PATIENCE = 3.0
"""Seconds after which no larger number of units is tried."""
REPEATS = 4
"""Number of times that the last measurement is repeated, if it is short."""
MOST_CROWDED = 20
"""A thread that gets a smaller part of a processor than one in so many is waiting."""
SAMPLE = 9
"""Number of videos that are prepared to measure how long that takes."""
AT_ONCE = 3.0
"""Seconds: if preparing all videos takes less, it is done, and those still to embed are counted."""
TRIED_VIDEOS, TRIED_BYTES, TRIED_EPISODES = 96, 48 << 20, 256
"""The most videos, bytes of features and episodes that a method is tried on."""


def elapsed(work: Work, units: int) -> float:
    """Return the seconds that some units of work take by the wall clock."""
    start = time.perf_counter()
    work(units)
    return time.perf_counter() - start


def computed(work: Work, units: int) -> float:
    """Return the seconds that some units of work would take if it had the processors to itself.

    Other processes that compete for the processors do not count, only what this process computes:
    in its own thread, or in all its threads divided by their number. A thread that hardly computes
    is waiting for something else, and then all of the time counts.
    """
    start, own, everyone = time.perf_counter(), time.thread_time(), time.process_time()
    work(units)
    wall, own = time.perf_counter() - start, time.thread_time() - own
    busy = max(own, (time.process_time() - everyone) / torch.get_num_threads())
    return min(wall, busy) if busy > wall / MOST_CROWDED else wall


def pace(work: Work, most: int, timed: Timer = elapsed) -> float:
    """Measure the seconds for each unit of work where many are done together.

    The first unit warms up. Then numbers of units grow until they take long enough and a larger
    number is no faster. The last number is repeated, and the fastest repeat counts: whatever else
    the machine does only makes it slower.

    Args:
        work: the work.
        most: largest number of units, at least 1.
        timed: measures how long some units take.
    """
    if (first := timed(work, 1)) >= 10 * PATIENCE:
        return first
    units, each, gained = 1, timed(work, 1), True
    spent = each
    while units < most and spent < PATIENCE and (gained or each * units < ENOUGH):
        more = min(most, units * (2 if units == 1 and each >= ENOUGH else 8))
        before, units, each = each, more, timed(work, more) / more
        spent += each * units
        gained = each < before / 1.5
    repeats, took = 0, each * units
    while repeats < REPEATS and (repeats + 1) * took < PATIENCE:
        each, repeats = min(each, timed(work, units) / units), repeats + 1
    return each


def pace_on(device: torch.device, work: Work, most: int) -> float:
    """Measure the pace of work that this process does on a device.

    On a CPU, threads also wait for each other, and the more so where other processes compete. If a
    single thread is faster, its pace counts: all threads would be as fast without competition. It
    is not tried where a unit might take it minutes.
    """

    def waited(count: int) -> None:
        work(count)
        wait_for(device)

    if device.type != "cpu":
        return pace(waited, most)
    each, threads = pace(waited, most, computed), torch.get_num_threads()
    if each * threads > 10 * PATIENCE:
        return each
    units = most if most * each < ENOUGH else max(1, int(ENOUGH / each))
    try:
        torch.set_num_threads(1)
        return min(each, computed(waited, units) / units)
    finally:
        torch.set_num_threads(threads)


def slope(work: Work, units: int, timed: Timer = elapsed) -> float:
    """Measure the seconds for each unit where every call has a cost of its own: new processes."""
    one = timed(work, 1)
    if units < 2:
        return one
    return max(timed(work, units) - one, 0.0) / (units - 1)


def overlapped(decoding: float, computing: float, device: torch.device) -> float:
    """Return the seconds for decoding on all processors and computing side by side.

    Where no GPU computes, torch takes its part of the processors.
    """
    if device.type != "cpu":
        return max(computing, decoding)
    share = min(1.0, torch.get_num_threads() / (os.cpu_count() or 1))
    return max(computing, decoding + share * computing)


@dataclass(frozen=True)
class Videos:
    """Videos of a split, prepared only as far as that is quick."""

    used: Sequence[Video]
    files: Sequence[VideoFile] | None
    """Files of all of them; None if preparing them would take long."""
    sample: Sequence[VideoFile]
    """Files of some of them."""
    seconds: float
    """Time to prepare the others."""


def prepared(source: Dataset, split: SplitName, used: Sequence[Video]) -> Videos:
    """Prepare videos, all of them if a sample shows that it is quick."""
    sample = used[:SAMPLE]  # mostly of one class: a data set may prepare whole classes
    some: list[VideoFile] = []

    def prepare(count: int) -> None:
        some[:] = source.files(split, sample[:count], lambda *_: None)

    try:
        seconds = slope(prepare, len(sample)) * len(used)
    except UserError:
        source.files(split, used, lambda *_: None)  # names all that are missing, not a sample's
        raise
    if seconds > AT_ONCE:
        return Videos(used, None, some, seconds)
    files = source.files(split, used, lambda *_: None)
    return Videos(used, files, files[:: max(1, len(used) // (4 * SAMPLE))], 0.0)


class Measures:
    """Speeds of this machine, each measured once."""

    def __init__(self, device: torch.device) -> None:
        """Start with nothing measured; ``device`` computes."""
        self._device = device
        self._known: dict[object, float] = {}
        self._features: dict[tuple[int, ...], Tensor] = {}

    def _once(self, key: object, measure: Callable[[], float]) -> float:
        if key not in self._known:
            self._known[key] = measure()
        return self._known[key]

    def _random(self, shape: FeatureShape, videos: int) -> Tensor:
        """Random maps, float32 (videos, C, T, H, W); the last ones are kept for the next method."""
        key = (videos, *shape)
        if key not in self._features:
            self._features = {key: torch.rand(key, generator=torch.Generator().manual_seed(0))}
        return self._features[key]

    def decode(
        self, loaded: LoadedBackbone, sampling: Sampling, sample: Sequence[VideoFile]
    ) -> float:
        """Seconds to decode a video while all processors decode others."""
        spec, videos = loaded.backbone.input, cycle(sample)

        def work(count: int) -> None:
            files = list(islice(videos, count))
            for _ in load_clips(files, spec, sampling, loaded.decoder):
                pass

        def measure() -> float:
            work(os.cpu_count() or 1)  # starts the processes that decode
            return pace(work, 32)

        return self._once((spec, sampling, loaded.decoder), measure)

    def embed(self, loaded: LoadedBackbone) -> float:
        """Seconds to embed a clip."""
        backbone, spec = loaded.backbone, loaded.backbone.input
        clips = torch.zeros(BATCH, 3, spec.frames, spec.size, spec.size)

        @torch.no_grad()
        def work(count: int) -> None:
            backbone(clips[:count].to(self._device))

        return self._once((type(backbone), spec), lambda: pace_on(self._device, work, BATCH))

    def both(
        self,
        loaded: LoadedBackbone,
        sampling: Sampling,
        sample: Sequence[VideoFile],
        videos: int,
        clips: int,
    ) -> float:
        """Seconds to decode videos and embed clips side by side; the last batch counts as full."""
        return overlapped(
            self.decode(loaded, sampling, sample) * videos,
            self.embed(loaded) * math.ceil(clips / BATCH) * BATCH,
            self._device,
        )

    def method(
        self, configured: ConfiguredMethod, shape: FeatureShape, bank: Bank, batch: int
    ) -> tuple[float, int]:
        """Seconds that a method takes on a bank whose features are there, and bytes it holds.

        Raises:
            UserError: the method fails.
        """
        episodes, videos = bank.episodes, len(bank.used_videos())
        in_episode = episodes.support[0].size + episodes.query[0].size
        most = max(in_episode, TRIED_BYTES // (4 * math.prod(shape)))
        features = self._random(shape, min(videos, TRIED_VIDEOS, most))
        tried, device = len(features), self._device
        with contained(configured.name, 0), torch.no_grad():
            method = configured.build(shape, 0).to(device)
            encoded = encode(method, features, device)
            kept = sum(tensor[:1].nbytes for tensor in tensors(encoded)) * videos
            seconds = videos * pace_on(
                device, lambda count: encode(method, features[:count], device), tried
            )
            if isinstance(method, PairMethod) and pairs.repay(method, episodes, videos):
                compare = pace_on(
                    device,
                    lambda _: pairs.similarities(method, encoded, device, lambda *_: None),
                    1,
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

            return seconds + len(episodes) * pace_on(device, answer, len(support)), kept
