"""Running statistics of live batch norms, when several processes have taken the passes of a step.

One process would update them pass after pass. Here each starts every pass from where the step
started, and what the passes left is put together in their order.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench.machine import distributed
from episodes.errors import UserError

BatchNorm = nn.modules.batchnorm._BatchNorm


class RunningStatistics:
    """Of every batch norm below a module that is being trained; of none there is nothing to do.

    Raises:
        UserError: a batch norm averages over everything it has seen.
    """

    def __init__(self, module: nn.Module) -> None:
        """Find the batch norms."""
        norms = [one for one in module.modules() if isinstance(one, BatchNorm) and one.training]
        self._norms = [one for one in norms if one.track_running_stats]
        self._left: list[Tensor] = []
        if any(one.momentum is None for one in self._norms):
            raise UserError(
                "a batch norm with momentum None cannot be trained by several processes; give it"
                " one, or train with one process"
            )

    @contextmanager
    def of_pass(self) -> Iterator[None]:
        """Remember what the pass in this block leaves, and go back to where it started."""
        start = self._now()
        yield
        self._left.append(self._now())
        self._put(start)

    def settle(self, passes: int) -> None:
        """Make the statistics those that all processes' passes leave one after another.

        A pass with n updates of momentum m takes r to (1 - m)^n r + b; b does not depend on r.
        """
        left, self._left = self._left, []
        if not self._norms:
            return
        start = now = self._now()
        for one in distributed.together(torch.stack(left), [1] * passes):
            now = one + self._kept(one - start) * (now - start)
        self._put(now)

    def _buffers(self) -> list[Tensor]:
        return [buffer for norm in self._norms for buffer in norm.buffers()]

    def _now(self) -> Tensor:
        """All statistics in a row, float64, which holds counts too."""
        parts = [buffer.flatten().double() for buffer in self._buffers()]
        return torch.cat(parts) if parts else torch.empty(0)

    @torch.no_grad()
    def _put(self, values: Tensor) -> None:
        buffers = self._buffers()
        parts = values.split([buffer.numel() for buffer in buffers]) if buffers else ()
        for buffer, part in zip(buffers, parts, strict=True):
            buffer.copy_(part.reshape(buffer.shape))

    def _kept(self, change: Tensor) -> Tensor:
        """For each value the share of it that a pass keeps; a count is kept whole."""
        factors = []
        parts = iter(change.split([buffer.numel() for buffer in self._buffers()]))
        for norm in self._norms:
            mean, variance, count = next(parts), next(parts), next(parts)
            kept = (1 - float(norm.momentum or 0)) ** count
            factors += [kept.expand_as(mean), kept.expand_as(variance), torch.ones_like(count)]
        return torch.cat(factors)
