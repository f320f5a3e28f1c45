"""The stages of a method: encode a clip, adapt to a support set, score its queries."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.method import ConfiguredMethod, Representation, apply
from bench.running import pairs
from bench.running.loop import ENCODE_CHUNK, answer, by_pair, cached, encode
from bench.running.scoring import adapted, pick, tensors
from bench.throughput.peaks import Timing, repeated
from bench.throughput.plan import TOTAL_EPISODES, Sizes
from episodes.banks.sampler import Episodes

BATCHES = 4
"""A stage takes this many batches in turn, so that none of them stays in the caches."""


@dataclass(frozen=True)
class Stage:
    """What one stage cost for one clip or one episode."""

    name: str
    unit: str
    """clips or episodes"""
    timing: Timing
    flop: float
    """Floating-point operations of products and convolutions, as torch counts them."""
    bytes_moved: float
    """The least that is read and written: each representation is gathered once."""


class Workload:
    """A method built for random features, and everything that its stages need.

    Ten thousand episodes are divided into batches as in a run.
    """

    def __init__(
        self, method: ConfiguredMethod, sizes: Sizes, device: torch.device, batch_size: int
    ) -> None:
        """Build the method and encode all videos."""
        self.device, self.sizes = device, sizes
        self.method = method.build(sizes.features, seed=0).to(device)
        self.chunk = sizes.feature_maps(0, min(ENCODE_CHUNK, sizes.videos))
        self.videos = self._encode_all()
        self.video_bytes = sum(tensor[:1].nbytes for tensor in tensors(self.videos))
        """Bytes of the representation of one video."""
        text = sizes.videos, sizes.features.channels
        self.text = torch.rand(text, device=device) if self.method.needs_text else None
        self.episodes = sizes.episodes(TOTAL_EPISODES)
        self.batch_size = cached(batch_size, self.videos, self.episodes, device)
        self.batches = -(-TOTAL_EPISODES // self.batch_size)
        self.by_pair = by_pair(self.method, self.videos, self.episodes, device)
        """Whether a run would score each pair of videos once; only `total` is measured that way."""

    def _encode_all(self) -> Representation:
        """Representations of all videos; only one chunk of their features exists at a time."""
        parts = [self._encoded(first) for first in range(0, self.sizes.videos, ENCODE_CHUNK)]
        joined = [torch.cat(chunks) for chunks in zip(*map(tensors, parts), strict=True)]
        places = iter(joined)
        return apply(parts[0], lambda _: next(places))

    def _encoded(self, first: int) -> Representation:
        count = min(ENCODE_CHUNK, self.sizes.videos - first)
        chunk = self.chunk if first == 0 else self.sizes.feature_maps(first, count)
        return encode(self.method, chunk, self.device)

    def encode(self, clips: int) -> None:
        """Encode this number of clips, a chunk at a time."""
        for first in range(0, clips, len(self.chunk)):
            encode(self.method, self.chunk[: clips - first], self.device)

    def state(self, number: int) -> Any:
        """Gather the support videos of a batch and adapt to them."""
        index = self._batch(self.episodes.support, number)
        shown = pick(self.videos, index, self.device)
        return adapted(self.method, shown, index, self.device, self.text)

    def query(self, number: int) -> Any:
        """Gather the queries of a batch."""
        return pick(self.videos, self._batch(self.episodes.query, number), self.device)

    def _batch(self, indices: Any, number: int) -> Tensor:
        first = number % BATCHES * self.batch_size
        return torch.from_numpy(indices[first : first + self.batch_size]).long()

    def adapt(self, batches: int) -> None:
        """Gather and adapt to the support videos of this number of batches."""
        for number in range(batches):
            self.state(number)

    def score(self, states: list[Any], batches: int) -> None:
        """Gather and score the queries of this number of batches."""
        for number in range(batches):
            self.method.score(states[number % BATCHES], self.query(number))

    def answer(self, batches: int) -> None:
        """Answer the first batches as a run does, or all episodes where pairs are scored once."""
        window = slice(None) if self.by_pair else slice(batches * self.batch_size)
        some = Episodes(
            self.episodes.support[window], self.episodes.query[window], self.episodes.labels[window]
        )
        answer(
            self.method,
            self.videos,
            some,
            self.device,
            self.batch_size,
            lambda *_: None,
            self.text,
        )


@torch.no_grad()
def measure(workload: Workload, repeats: int) -> list[Stage]:
    """Measure encoding, adapting and scoring, and all of it for ten thousand episodes."""
    encoding = _encode_stage(workload, repeats)
    per_episode = [_adapt_stage(workload, repeats), _score_stage(workload, repeats)]
    return [encoding, *per_episode, _total(workload, encoding, per_episode, repeats)]


def _encode_stage(workload: Workload, repeats: int) -> Stage:
    chunk = len(workload.chunk)
    timing = repeated(
        lambda times: workload.encode(times * chunk), 8, repeats, workload.device, chunk
    )
    flop = _flop(lambda: workload.encode(1))
    moved = workload.chunk[:1].nbytes + workload.video_bytes
    return Stage("encode", "clips", timing, flop, moved)


def _adapt_stage(workload: Workload, repeats: int) -> Stage:
    batch, sizes = workload.batch_size, workload.sizes
    timing = repeated(workload.adapt, workload.batches, repeats, workload.device, batch)
    flop = _flop(lambda: workload.adapt(1)) / batch
    moved = 2.0 * workload.video_bytes * sizes.way * sizes.shot
    return Stage("adapt", "episodes", timing, flop, moved)


def _score_stage(workload: Workload, repeats: int) -> Stage:
    states = [workload.state(number) for number in range(BATCHES)]
    work = partial(workload.score, states)
    batch = workload.batch_size
    timing = repeated(work, workload.batches, repeats, workload.device, batch)
    flop = _flop(lambda: work(1)) / batch
    moved = 2.0 * workload.video_bytes * workload.sizes.queries
    return Stage("score", "episodes", timing, flop, moved)


def _total(workload: Workload, encoding: Stage, per_episode: list[Stage], repeats: int) -> Stage:
    """The cost per episode of encoding all videos and answering 10,000 episodes.

    Only as many batches are answered as a repeat needs, since time grows linearly with them. Where
    each pair of videos is scored once, all pairs are.
    """
    videos = workload.sizes.videos
    if workload.by_pair:
        most, each = 1, TOTAL_EPISODES
        flop = _flop(lambda: workload.answer(1)) / TOTAL_EPISODES
        compared = videos * -(-videos // pairs.SIDE[workload.device.type])
        moved = workload.video_bytes * compared / TOTAL_EPISODES
    else:
        most, each = TOTAL_EPISODES // workload.batch_size, workload.batch_size
        flop = sum(stage.flop for stage in per_episode)
        moved = sum(stage.bytes_moved for stage in per_episode)
    answering = repeated(workload.answer, most, repeats, workload.device, each)
    share, encoded = videos / TOTAL_EPISODES, encoding.timing
    low, high = (
        one + share * other
        for one, other in zip(answering.quartiles, encoded.quartiles, strict=True)
    )
    timing = replace(
        answering, median=answering.median + share * encoded.median, quartiles=(low, high)
    )
    flop += share * encoding.flop
    moved += share * encoding.bytes_moved
    return Stage("total", "episodes", timing, flop, moved)


def _flop(work: Callable[[], None]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())
