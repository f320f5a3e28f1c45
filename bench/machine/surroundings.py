"""The global state of the process, by which one method could change the results of others.

What an honest author changes by accident is named and restored: a flag set for speed, a mode or a
hook that is left on, a function that is patched. No wall keeps out malice: threads that go on,
`ctypes`, kernels of `torch.library`, functions of modules that are not `SHARED` (such as clocks),
and the files of others are not looked after.
"""

import builtins
import gc
import math
import os
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from types import ModuleType

import numpy as np
import torch

from bench.machine.states import MISSING, STATES, read_state

OURS = ("bench", "episodes", "methods")
SHARED: Sequence[ModuleType | type] = (
    *(builtins, math, np, np.linalg, np.random),
    *(torch, torch.Tensor, torch.linalg, torch.nn.functional, torch.nn.init, torch.backends.mha),
    *{one for one in vars(torch.nn).values() if isinstance(one, type)},
)
"""Modules and classes whose functions every method calls, besides our own."""
LATE = {"manual_seed", "__slotnames__", "__annotations__", "__annotations_cache__"}
"""Attributes that change later: torch replaces one when its compiler is loaded, as some optimisers
do; Python adds one to classes whose objects are sent to another process, as in rendering, and the
others to classes whose annotations are read, as by `torch.jit.script`."""


def _timer_runs() -> bool:
    return hasattr(signal, "setitimer") and signal.getitimer(signal.ITIMER_REAL)[0] > 0


class Surroundings:
    """The global state of the process, to be compared and restored later.

    New environment variables are allowed, since libraries set some when they are imported, and are
    removed again. New modules, and new functions in modules, are allowed and stay; so do new
    folders of modules, which come last from then on. What the block has left behind is collected:
    suspended generators and guards restore an old state as they end, be it in another's block.
    """

    def __init__(self) -> None:
        """Read the state, within milliseconds."""
        gc.freeze()  # what exists already is not collected: that would take a tenth of a second
        self._states = [read_state(read) for _, read, _ in STATES]
        self._timed = _timer_runs()
        self._environment = dict(os.environ)
        self._path = list(sys.path)
        self._random = random.getstate(), torch.get_rng_state()
        self._numpy = np.random.mtrand.get_bit_generator(), np.random.get_state()
        self._names = {id(one): (one, dict(vars(one))) for one in _shared()}
        self._modules = dict(sys.modules)

    def put_back(self) -> list[str]:
        """Restore the state, including random generators; return what had changed, in words."""
        gc.collect()
        gc.unfreeze()
        changed = []
        for (name, read, write), value in zip(STATES, self._states, strict=True):
            if value is not MISSING and read_state(read) != value:
                write(value)
                changed.append(name)
        if _timer_runs() and not self._timed:  # one of the user's may have run out
            # Its signal would end the process, with the handler that is restored.
            signal.setitimer(signal.ITIMER_REAL, 0)
            changed.append("an alarm")
        if any(os.environ.get(key) != value for key, value in self._environment.items()):
            changed.append("the environment")
        os.environ.clear()
        os.environ.update(self._environment)
        sys.path[:] = [*self._path, *(one for one in sys.path if one not in self._path)]
        random.setstate(self._random[0])
        torch.set_rng_state(self._random[1])
        np.random.mtrand.set_bit_generator(self._numpy[0])
        np.random.set_state(self._numpy[1])
        return changed + self._replaced()

    def _replaced(self) -> list[str]:
        """Restore functions, classes and modules that were replaced."""
        changed = [name for name, one in self._modules.items() if sys.modules.get(name) is not one]
        sys.modules.update({name: self._modules[name] for name in changed})
        for owner, before in self._names.values():
            now = vars(owner)
            if isinstance(owner, type):  # a new attribute hides an inherited one
                for name in [name for name in now if name not in before and name not in LATE]:
                    delattr(owner, name)
                    changed.append(f"{owner.__name__}.{name}")
            for name, value in before.items():
                if name not in LATE and now.get(name, MISSING) is not value:
                    setattr(owner, name, value)
                    changed.append(f"{owner.__name__}.{name}")
        return changed


@contextmanager
def own_output() -> Iterator[None]:
    """Send what the block prints to stderr; reopen stdout and stderr if it closes them."""
    output, errors = sys.stdout, sys.stderr
    output.flush()
    kept = [os.dup(number) for number in (1, 2)]
    try:
        os.dup2(2, 1)
        with redirect_stdout(errors):
            yield
    finally:
        for number, one in enumerate(kept, start=1):
            os.dup2(one, number)
            os.close(one)
        sys.stdout, sys.stderr = output, errors
        if errors.closed:
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - stays open


def _shared() -> list[ModuleType | type]:
    ours = [
        module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in OURS and isinstance(module, ModuleType)
    ]
    classes = {
        one
        for module in ours
        for one in list(vars(module).values())
        if isinstance(one, type) and one.__module__.partition(".")[0] in OURS
    }
    return [*SHARED, *ours, *classes]
