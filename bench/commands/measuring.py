"""Speeds of this machine, measured in seconds: preparing, decoding, embedding, scoring.

Each is tried on a few units of work. Methods are tried on random numbers of the right shape, before
any video is read.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import torch
from torch import Tensor

from bench.features.backbones import LoadedBackbone
from bench.features.clips import load_clips
from bench.features.filling import BATCH
from bench.machine.device import Stopwatch
from bench.method import ConfiguredMethod, FeatureShape, PairMethod
from bench.running import pairs
from bench.running.containment import contained
from bench.running.loop import cached, encode
from bench.running.scoring import score, tensors
from bench.throughput.peaks import LEAST_SECONDS
from episodes.banks.bank import Bank
from episodes.datasets import Dataset
from episodes.decoding.sampling import Sampling
from episodes.errors import UserError
from episodes.split import SplitName, Video, VideoFile

CPU = torch.device("cpu")
Work = Callable[[int], object]
"""Does a number of units of work."""
PATIENCE = 2.0
"""Seconds of timing after which no larger number of units is tried."""
SAMPLE = 9
"""Number of videos that are prepared to measure how long that takes."""
AT_ONCE = 3.0
"""Seconds: if preparing all videos takes less, it is done, and those still to embed are counted."""
TRIED_VIDEOS, TRIED_BYTES, TRIED_EPISODES = 96, 48 << 20, 256
"""The most videos, bytes of features and episodes that a method is tried on."""


def pace_on(device: torch.device, work: Work, most: int) -> float:
    """Measure the seconds for each unit of work where up to ``most`` are done together.

    The first unit warms up. Then numbers of units grow until they take long enough and more of them
    are no faster: together they decode on all processors, or share the steps of a method.
    """
    work(1)
    units, gained = 1, True
    spent = each = _seconds(device, work, 1)
    while units < most and spent < PATIENCE and (gained or units * each < LEAST_SECONDS):
        before, units = each, min(most, 4 * units)
        each = _seconds(device, work, units) / units
        spent += units * each
        gained = each < before / 1.5
    if spent < PATIENCE:  # other processes only slow it
        each = min(each, _seconds(device, work, units) / units)
    return each


def _seconds(device: torch.device, work: Work, units: int) -> float:
    with Stopwatch(device) as watch:
        work(units)
    return watch.seconds


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
        one, several = (_seconds(CPU, prepare, count) for count in (1, len(sample)))
    except UserError:
        source.files(split, used, lambda *_: None)  # names all that are missing, not a sample's
        raise
    # Every call has a cost of its own: it starts processes.
    each = max(several - one, 0.0) / (len(sample) - 1) if len(sample) > 1 else one
    if each * len(used) > AT_ONCE:
        return Videos(used, None, some, each * len(used))
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
            return pace_on(CPU, work, 32)

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
