"""How processes share the passes of an optimiser step, with the same result as one process.

If there is at least one pass per process, each takes whole passes, so that live batch norms see the
same clips. If there are fewer, each process runs the backbone over its share of the videos of a
pass and receives the maps of the others; the method, whose batch norm and dropout may depend on all
of a pass, works on all maps in every process.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.backbone import Backbone
from bench.machine import distributed
from bench.training.learner import Learner
from bench.training.plan import Training
from episodes.errors import UserError

BatchNorm = nn.modules.batchnorm._BatchNorm
Dropout = nn.modules.dropout._DropoutNd


class RunningStatistics:
    """The running statistics of every live batch norm in a module.

    Raises:
        UserError: a batch norm has a cumulative average (momentum None).
    """

    def __init__(self, module: nn.Module) -> None:
        """Find the batch norms."""
        norms = [one for one in module.modules() if isinstance(one, BatchNorm) and one.training]
        self._norms = [one for one in norms if one.track_running_stats]
        self._after_pass: list[Tensor] = []
        if any(one.momentum is None for one in self._norms):
            raise UserError(
                "a batch norm with momentum None cannot be trained by several processes; give it"
                " one, or train with one process"
            )

    @contextmanager
    def of_pass(self) -> Iterator[None]:
        """Record the statistics after the pass in this block, then restore those before it."""
        start = self._now()
        yield
        self._after_pass.append(self._now())
        self._put(start)

    def settle(self, passes: int) -> None:
        """Set the statistics as if the passes of all processes had run one after another.

        A pass with n updates of momentum m takes r to (1 - m)^n r + b; b does not depend on r.
        """
        recorded, self._after_pass = self._after_pass, []
        if not self._norms:
            return
        start = now = self._now()
        for one in distributed.together(torch.stack(recorded), [1] * passes):
            now = one + self._kept(one - start) * (now - start)
        self._put(now)

    def _buffers(self) -> list[Tensor]:
        return [buffer for norm in self._norms for buffer in norm.buffers()]

    def _now(self) -> Tensor:
        """All statistics as one vector; float64 also represents the counts exactly."""
        parts = [buffer.flatten().double() for buffer in self._buffers()]
        return torch.cat(parts) if parts else torch.empty(0)

    @torch.no_grad()
    def _put(self, values: Tensor) -> None:
        buffers = self._buffers()
        parts = values.split([buffer.numel() for buffer in buffers]) if buffers else ()
        for buffer, part in zip(buffers, parts, strict=True):
            buffer.copy_(part.reshape(buffer.shape))

    def _kept(self, change: Tensor) -> Tensor:
        """The fraction of each value that a pass retains; all of it for counts."""
        factors = []
        parts = iter(change.split([buffer.numel() for buffer in self._buffers()]))
        for norm in self._norms:
            mean, variance, count = next(parts), next(parts), next(parts)
            kept = (1 - float(norm.momentum or 0)) ** count
            factors += [kept.expand_as(mean), kept.expand_as(variance), torch.ones_like(count)]
        return torch.cat(factors)


class Sharing:
    """This process's share of every step.

    Args:
        learner: its gradients are averaged over processes.
        training: its recipe defines a step.
        videos: number of videos in a pass.

    Raises:
        UserError: there are more processes than can share a step.
    """

    def __init__(self, learner: Learner, training: Training, videos: int) -> None:
        """Divide the work, and set up the averaging of gradients."""
        recipe = training.recipe
        self._count = recipe.episodes_per_step // recipe.episodes_at_once
        whole_passes = distributed.size() <= self._count
        numbers = range(self._count)
        self.passes: list[int] = distributed.share(numbers) if whole_passes else list(numbers)
        """Indices of the passes of a step that this process takes."""
        self.divisor: float = self._count / (distributed.size() if whole_passes else 1)
        """Divisor of a pass's loss: then the mean gradient of the processes is that of the step."""
        self.videos = slice(None)
        """The videos of a pass that this process takes."""
        if not whole_passes and learner.backbone is not None:
            _check_divisible(learner.backbone, training, self._count, videos)
            self.videos = slice(distributed.rank(), None, distributed.size())
        split = whole_passes and distributed.size() > 1
        self._statistics = RunningStatistics(learner if split else nn.Identity())
        # Some methods and backbones have parameters on which no loss depends.
        self.model: nn.Module = (
            DistributedDataParallel(learner, find_unused_parameters=True)
            if torch.distributed.is_initialized()
            else learner
        )

    @contextmanager
    def taking(self, number: int) -> Iterator[None]:
        """Take a pass; after the last one of a step, gradients are averaged over processes."""
        last = number == self.passes[-1]
        job = self.model if isinstance(self.model, DistributedDataParallel) else None
        with job.no_sync() if job and not last else nullcontext(), self._statistics.of_pass():
            yield

    def settled(self, terms: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """End a step; average the loss terms of this process's passes over all processes."""
        self._statistics.settle(self._count)
        values = torch.tensor([list(one.values()) for one in terms], dtype=torch.float64)
        if len(self.passes) < self._count:
            values = distributed.together(values, [1] * self._count)
        return dict(zip(terms[0], (values / self._count).sum(dim=0).tolist(), strict=True))


def _check_divisible(backbone: Backbone, training: Training, passes: int, videos: int) -> None:
    """Refuse to divide a pass if the maps of its videos depend on each other.

    Raises:
        UserError: batch norm or dropout is active in the backbone, or there are too few videos.
    """
    coupled = any(
        module.training
        and (isinstance(module, BatchNorm) or (isinstance(module, Dropout) and module.p > 0))
        for module in backbone.modules()
    )
    if not coupled and distributed.size() <= videos:
        return
    why = (
        "and live batch norm or dropout in the backbone needs a whole pass"
        if coupled
        else f"and a pass has {videos} videos"
    )
    raise UserError(
        f"training {training.title}: {distributed.size()} processes cannot share a step of recipe"
        f" {training.recipe.name}: it is {passes} x {training.recipe.episodes_at_once} episodes"
        f" (passes x episodes_at_once), {why}; start {passes if coupled else videos} at most, or"
        " lower episodes_at_once in a recipe of your own"
    )
