"""One method, stage by stage: encode a clip, adapt to a support set, score its queries."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench import pairs
from bench.device import forget_peak_memory, peak_memory
from bench.loop import ENCODE_CHUNK, answer, by_pair, cached, encode
from bench.method import Entry, Representation, apply
from bench.scoring import pick, tensors
from bench.throughput.plan import TOTAL_EPISODES, Sizes
from bench.throughput.timing import Timing, repeated
from episodes.sampler import Episodes

PIECES = 4
"""Different pieces that a stage goes round, so that caches do not hold one for good."""


@dataclass(frozen=True)
class Stage:
    """What one stage cost for one clip or one episode."""

    name: str
    unit: str
    """clips or episodes"""
    timing: Timing
    flop: float
    """Counted in products and convolutions, as torch counts them."""
    bytes_moved: float
    """Read and written at the least: each representation gathered once."""


@dataclass(frozen=True)
class Measurement:
    """All stages of one method, and the most memory it took."""

    stages: list[Stage]
    peak_memory_bytes: int


class Bench:
    """A method built for random features, and everything its stages need.

    Its work on ten thousand episodes comes in pieces, as a run cuts it: batches of episodes or,
    where pairs of videos are scored once, some support videos against all others.

    Args:
        entry: the method.
        sizes: of features and episodes.
        dtype: to compute in.
        device: where to compute.
        batch_size: episodes scored at once.
    """

    def __init__(
        self,
        entry: Entry,
        sizes: Sizes,
        dtype: torch.dtype,
        device: torch.device,
        batch_size: int,
    ) -> None:
        """Build the method and encode all videos."""
        self.device, self.dtype, self.sizes = device, dtype, sizes
        method = entry.build(sizes.features, seed=0).to(device)
        self.method = method if dtype is torch.float32 else method.to(dtype)
        self.chunk = sizes.feature_maps(0, min(ENCODE_CHUNK, sizes.videos))
        self.videos = self._encode_all()
        self.episodes = sizes.episodes(TOTAL_EPISODES)
        self.batch_size = cached(batch_size, self.videos, self.episodes, device)
        self.by_pair = by_pair(method, self.videos, self.episodes, device)
        self.strips = pairs.strips(method, sizes.videos, device)
        side = self.strips[0].support.stop
        batches = -(-TOTAL_EPISODES // self.batch_size)
        self.pieces = sizes.videos // side if self.by_pair else batches
        """Pieces there are; of strips only full ones, for all to be of one size."""
        self.adapted = TOTAL_EPISODES * side / sizes.videos if self.by_pair else self.batch_size
        """Episodes that a piece is worth: a strip by its share of the support videos."""
        share = side * sizes.videos / pairs.worked_out(method, sizes.videos, device)
        self.scored = TOTAL_EPISODES * share if self.by_pair else self.batch_size
        """The same by its share of the pairs, where its support videos are compared with all."""

    def _encode_all(self) -> Representation:
        """Representations of all videos, whose features never exist all at once."""
        parts = [self._encoded(first) for first in range(0, self.sizes.videos, ENCODE_CHUNK)]
        joined = [torch.cat(chunks) for chunks in zip(*map(tensors, parts), strict=True)]
        places = iter(joined)
        return apply(parts[0], lambda _: next(places))

    def _encoded(self, first: int) -> Representation:
        count = min(ENCODE_CHUNK, self.sizes.videos - first)
        chunk = self.chunk if first == 0 else self.sizes.feature_maps(first, count)
        return encode(self.method, chunk, self.device, self.dtype)

    def encode(self, clips: int) -> None:
        """Encode so many clips, a chunk at a time."""
        for first in range(0, clips, len(self.chunk)):
            encode(self.method, self.chunk[: clips - first], self.device, self.dtype)

    def support(self, number: int) -> Any:
        """Support videos of one of the pieces."""
        if self.by_pair:
            return pairs.as_classes(self.videos, self._strip(number), self.device)
        return self._gathered(self.episodes.support, number)

    def queries(self, number: int) -> Iterator[Any]:
        """Query videos of one of the pieces, block by block."""
        if self.by_pair:
            for block in pairs.sides(0, self.sizes.videos, self.device):
                yield pairs.as_queries(self.videos, block, self.device)
        else:
            yield self._gathered(self.episodes.query, number)

    def _strip(self, number: int) -> slice:
        return self.strips[number % PIECES % self.pieces].support

    def _gathered(self, indices: Any, number: int) -> Any:
        first = number % PIECES * self.batch_size
        index = torch.from_numpy(indices[first : first + self.batch_size]).long()
        return pick(self.videos, index, self.device)

    def gathered(self, videos: int, read: int) -> float:
        """Bytes that move for an episode: its videos are copied, or so many are read for all."""
        if self.by_pair:
            return _bytes_of_video(self.videos) * read / TOTAL_EPISODES
        return 2.0 * _bytes_of_video(self.videos) * videos

    def adapt(self, pieces: int) -> None:
        """Gather and adapt to the support videos of so many pieces."""
        for number in range(pieces):
            self.method.adapt(self.support(number))

    def score(self, states: list[Any], pieces: int) -> None:
        """Gather and score the queries of so many pieces."""
        for number in range(pieces):
            for query in self.queries(number):
                self.method.score(states[number % PIECES], query)

    def answer(self, pieces: int) -> None:
        """Answer the first pieces as a run does; all of the episodes where pairs are scored."""
        window = slice(None) if self.by_pair else slice(pieces * self.batch_size)
        some = Episodes(
            self.episodes.support[window], self.episodes.query[window], self.episodes.labels[window]
        )
        answer(self.method, self.videos, some, self.device, self.batch_size, lambda *_: None)


@torch.no_grad()
def measure(bench: Bench, repeats: int) -> Measurement:
    """Measure every stage, and what ten thousand episodes cost with all videos encoded."""
    forget_peak_memory(bench.device)
    encoding = _encode_stage(bench, repeats)
    adapting = _adapt_stage(bench, repeats)
    scoring = _score_stage(bench, repeats)
    total = _total(bench, encoding, [adapting, scoring], repeats)
    return Measurement([encoding, adapting, scoring, total], peak_memory(bench.device))


def _encode_stage(bench: Bench, repeats: int) -> Stage:
    chunk = len(bench.chunk)
    timing = repeated(lambda times: bench.encode(times * chunk), 8, repeats, bench.device)
    flop = _flop(lambda: bench.encode(1))
    moved = bench.chunk[:1].nbytes + _bytes_of_video(bench.videos)
    return Stage("encode", "clips", _each(timing, chunk), flop, moved)


def _adapt_stage(bench: Bench, repeats: int) -> Stage:
    timing = repeated(bench.adapt, bench.pieces, repeats, bench.device)
    flop = _flop(lambda: bench.adapt(1)) / bench.adapted
    moved = bench.gathered(bench.sizes.way * bench.sizes.shot, read=bench.sizes.videos)
    return Stage("adapt", "episodes", _each(timing, bench.adapted), flop, moved)


def _score_stage(bench: Bench, repeats: int) -> Stage:
    states = [bench.method.adapt(bench.support(number)) for number in range(PIECES)]
    timing = repeated(
        lambda pieces: bench.score(states, pieces), bench.pieces, repeats, bench.device
    )
    flop = _flop(lambda: bench.score(states, 1)) / bench.scored
    read = sum(bench.sizes.videos - strip.first_query for strip in bench.strips)
    moved = bench.gathered(bench.sizes.queries, read)
    return Stage("score", "episodes", _each(timing, bench.scored), flop, moved)


def _total(bench: Bench, encoding: Stage, per_episode: list[Stage], repeats: int) -> Stage:
    """Encoding all videos and scoring 10,000 episodes, for each of them.

    As many batches are really scored as a repeat needs; what they take grows linearly. Where pairs
    are scored, all of them are.
    """
    whole = 1 if bench.by_pair else TOTAL_EPISODES // bench.batch_size
    timing = repeated(bench.answer, whole, repeats, bench.device)
    timing = _each(timing, TOTAL_EPISODES if bench.by_pair else bench.batch_size)
    videos_each = bench.sizes.videos / TOTAL_EPISODES
    encoded = encoding.timing
    both = Timing(
        timing.median + videos_each * encoded.median,
        (
            timing.quartiles[0] + videos_each * encoded.quartiles[0],
            timing.quartiles[1] + videos_each * encoded.quartiles[1],
        ),
        repeats,
        timing.units,
    )
    flop = videos_each * encoding.flop + sum(stage.flop for stage in per_episode)
    moved = videos_each * encoding.bytes_moved + sum(stage.bytes_moved for stage in per_episode)
    return Stage("total", "episodes", both, flop, moved)


def _each(timing: Timing, units: float) -> Timing:
    """Timing of one of several units that are done at once."""
    low, high = timing.quartiles
    return Timing(
        timing.median / units,
        (low / units, high / units),
        timing.repeats,
        round(timing.units * units),
    )


def _flop(work: Callable[[], None]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def _bytes_of_video(videos: Representation) -> int:
    return sum(tensor[:1].nbytes for tensor in tensors(videos))
