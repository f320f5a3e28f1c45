"""The global state of the process, by which one method could change the results of others."""

import builtins
import gc
import math
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.utils._device import DeviceContext

OURS = ("bench", "episodes", "methods")
SHARED = (builtins, math, np, torch, torch.Tensor, torch.linalg, torch.nn.functional)
"""Modules and classes whose functions every method calls, besides our own."""
LATE = {"manual_seed", "__slotnames__"}
"""Attributes that change later: torch replaces one when its compiler is loaded, as some optimisers
do; Python adds one to classes whose objects are sent to another process, as in rendering."""
MISSING = object()
_kept: list[torch.inference_mode] = []
"""Context managers that are never left: each would restore an old mode when it is collected."""
_AUTOCAST = ("cpu", "cuda")
_HOOKS: Mapping[str, dict[int, Any]] = {
    name: value
    for name, value in vars(torch.nn.modules.module).items()
    if name.startswith("_global") and isinstance(value, dict)
}
"""What every module runs beside its own `forward`."""


def _flushes_denormals() -> bool:
    return float(torch.full((), 2e-308, dtype=torch.float64) / 4) == 0


def _handlers() -> Mapping[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _put_handlers_back(before: Mapping[int, Any]) -> None:
    for number, handler in before.items():
        if signal.getsignal(number) != handler and handler is not None:
            signal.signal(number, handler)


def _set_inference_mode(on: bool) -> None:
    # The method's own ones as well, which could be collected in the middle of a training.
    _kept.extend(one for one in gc.get_objects() if type(one) is torch.inference_mode)
    _kept.append(torch.inference_mode(on))
    _kept[-1].__enter__()


def _autocast() -> list[tuple[bool, torch.dtype]]:
    return [(torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in _AUTOCAST]


def _set_autocast(before: Sequence[tuple[bool, torch.dtype]]) -> None:
    for kind, (on, dtype) in zip(_AUTOCAST, before, strict=True):
        torch.set_autocast_enabled(kind, on)
        torch.set_autocast_dtype(kind, dtype)


def _hooks() -> Mapping[str, Mapping[int, Any]]:
    return {name: dict(hooks) for name, hooks in _HOOKS.items()}


def _put_hooks_back(before: Mapping[str, Mapping[int, Any]]) -> None:
    for name, hooks in _HOOKS.items():
        hooks.clear()
        hooks.update(before[name])


def _function_modes() -> list[Any]:
    """List the modes that torch's functions pass through, but for the default device's."""
    modes = torch.overrides._get_current_function_mode_stack()
    return [mode for mode in modes if not isinstance(mode, DeviceContext)]


def _put_function_modes_back(before: Sequence[Any]) -> None:
    modes = torch.overrides._get_current_function_mode_stack()
    devices = [mode for mode in modes if isinstance(mode, DeviceContext)]
    for _ in modes:
        torch._C._pop_torch_function_stack()
    for mode in (*devices, *before):
        torch._C._push_on_torch_function_stack(mode)


STATES: Sequence[tuple[str, Callable[[], Any], Callable[[Any], object]]] = (
    ("torch's default type", torch.get_default_dtype, torch.set_default_dtype),
    ("torch's default device", torch.get_default_device, torch.set_default_device),
    ("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
    ("torch's inference mode", torch.is_inference_mode_enabled, _set_inference_mode),
    ("torch's recording of gradients", torch.is_grad_enabled, torch.set_grad_enabled),
    ("torch's automatic precision", _autocast, _set_autocast),
    ("hooks of all modules", _hooks, _put_hooks_back),
    ("the modes of torch's functions", _function_modes, _put_function_modes_back),
    (
        "torch's choice of deterministic algorithms",
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    (
        "the precision of torch's products",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    ("torch's smallest numbers", _flushes_denormals, torch.set_flush_denormal),
    ("torch's use of oneDNN", torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled),
    ("numpy's handling of errors", np.geterr, lambda value: np.seterr(**value)),
    ("the current folder", Path.cwd, os.chdir),
    ("the limit of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
    ("the collection of garbage", gc.isenabled, lambda on: (gc.disable, gc.enable)[on]()),
    ("the handlers of signals", _handlers, _put_handlers_back),
)
"""Name, getter and setter of each state."""


class Surroundings:
    """The global state of the process, to be compared and restored later.

    New environment variables are allowed, since libraries set some when they are imported, and are
    removed again. New modules, and new functions in modules, are allowed and stay.
    """

    def __init__(self) -> None:
        """Read the state, within milliseconds."""
        self._states = [read() for _, read, _ in STATES]
        self._environment = dict(os.environ)
        self._random = random.getstate(), np.random.get_state()
        self._names = {id(one): (one, dict(vars(one))) for one in _shared()}
        self._modules = dict(sys.modules)

    def put_back(self) -> list[str]:
        """Restore the state, including random generators; return what had changed, in words."""
        changed = []
        for (name, read, write), value in zip(STATES, self._states, strict=True):
            if _read(read) != value:
                write(value)
                changed.append(name)
        if any(os.environ.get(key) != value for key, value in self._environment.items()):
            changed.append("the environment")
        os.environ.clear()
        os.environ.update(self._environment)
        random.setstate(self._random[0])
        np.random.set_state(self._random[1])
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


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception:  # a broken getter is a change
        return MISSING


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
