"""The global state of the process, by which one method could change the results of others.

What an honest author changes by accident is named and restored: a flag set for speed, a mode or a
hook that is left on, a function that is patched. No wall keeps out malice: threads that go on,
`ctypes`, kernels of `torch.library`, functions of modules that are not `SHARED` (such as clocks),
and the files of others are not looked after.
"""

import builtins
import gc
import itertools
import math
import os
import random
import signal
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.utils import _python_dispatch as operators

OURS = ("bench", "episodes", "methods")
SHARED: Sequence[ModuleType | type] = (
    *(builtins, math, np, np.linalg, np.random),
    *(torch, torch.Tensor, torch.linalg, torch.nn.functional, torch.nn.init, torch.backends.mha),
    *{one for one in vars(torch.nn).values() if isinstance(one, type)},
)
"""Modules and classes whose functions every method calls, besides our own."""
FLAGS = (
    *("cudnn.enabled", "cudnn.benchmark", "cudnn.deterministic"),
    *("mkldnn.enabled", "mkldnn.deterministic", "opt_einsum.enabled", "opt_einsum.strategy"),
    "cuda.matmul.allow_fp16_reduced_precision_reduction",
    "cuda.matmul.allow_bf16_reduced_precision_reduction",
)
"""Attributes in `torch.backends`."""
ATTENTION = ("flash", "mem_efficient", "math", "cudnn")
"""Kernels of torch's attention."""
LATE = {"manual_seed", "__slotnames__", "__annotations__", "__annotations_cache__"}
"""Attributes that change later: torch replaces one when its compiler is loaded, as some optimisers
do; Python adds one to classes whose objects are sent to another process, as in rendering, and the
others to classes whose annotations are read, as by `torch.jit.script`."""
MISSING = object()
_kept: list[torch.inference_mode] = []
"""Context managers that are never left: each would restore an old mode when it is collected."""
_AUTOCAST = ("cpu", "cuda")
_ROUNDED = (
    *(("generic", "all"), ("cuda", "all"), ("mkldnn", "all")),
    *itertools.product(("cuda", "mkldnn"), ("matmul", "conv", "rnn")),
)
"""What newer versions of torch round separately; what is "all" comes first."""
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


def _modes() -> tuple[Any, Sequence[Any]]:
    """Return the default device's mode, and all that torch's functions pass through."""
    functions = torch.overrides._get_current_function_mode_stack()
    return getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None), functions


def _put_modes_back(before: tuple[Any, Sequence[Any]]) -> None:
    torch._GLOBAL_DEVICE_CONTEXT.device_context, functions = before
    while torch._C._len_torch_function_stack():
        torch._C._pop_torch_function_stack()
    for mode in functions:
        torch._C._push_on_torch_function_stack(mode)


def _put_operators_back(before: Sequence[Any]) -> None:
    while operators._get_current_dispatch_mode_stack():
        operators._pop_mode()
    for mode in before:
        operators._push_mode(mode)


def _set_default_type(before: tuple[torch.dtype, str]) -> None:
    if torch._C._get_default_device() != before[1]:
        torch.set_default_tensor_type("torch.FloatTensor")  # of the CPU
    torch.set_default_dtype(before[0])


def _precision() -> Sequence[Any]:
    read = getattr(torch._C, "_get_fp32_precision_getter", None)  # of newer versions
    return (
        # Neither can be read where a newer flag says otherwise.
        _read(torch.get_float32_matmul_precision),
        _read(lambda: torch.backends.cudnn.allow_tf32),
        [read(*place) for place in _ROUNDED] if read else [],
    )


def _set_precision(before: Sequence[Any]) -> None:
    if before[0] is not MISSING:
        torch.set_float32_matmul_precision(before[0])
    if before[1] is not MISSING:
        torch.backends.cudnn.allow_tf32 = before[1]
    for place, value in zip(_ROUNDED, before[2], strict=False):
        torch._C._set_fp32_precision_setter(*place, value)


def _attention() -> Sequence[bool]:
    return [getattr(torch.backends.cuda, f"{kind}_sdp_enabled")() for kind in ATTENTION]


def _set_attention(before: Sequence[bool]) -> None:
    for kind, on in zip(ATTENTION, before, strict=True):
        getattr(torch.backends.cuda, f"enable_{kind}_sdp")(on)


def _flag(path: str) -> tuple[str, Callable[[], Any], Callable[[Any], object]]:
    owner, _, name = path.rpartition(".")
    holder = attrgetter(owner)(torch.backends)
    return f"torch.backends.{path}", partial(getattr, holder, name), partial(setattr, holder, name)


def _set_profile(before: Any) -> None:
    if hasattr(before, "enable"):  # a `cProfile.Profile`, which is no function
        before.enable()
    else:
        sys.setprofile(before)


def _timer_runs() -> bool:
    return hasattr(signal, "setitimer") and signal.getitimer(signal.ITIMER_REAL)[0] > 0


STATES: Sequence[tuple[str, Callable[[], Any], Callable[[Any], object]]] = (
    (
        "torch's default type",
        lambda: (torch.get_default_dtype(), torch._C._get_default_device()),
        _set_default_type,
    ),
    ("torch's default device or another mode of its functions", _modes, _put_modes_back),
    (
        "the modes of torch's operators",
        operators._get_current_dispatch_mode_stack,
        _put_operators_back,
    ),
    ("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
    ("torch's inference mode", torch.is_inference_mode_enabled, _set_inference_mode),
    ("torch's recording of gradients", torch.is_grad_enabled, torch.set_grad_enabled),
    (
        "torch's search for anomalies",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda value: torch.autograd.set_detect_anomaly(*value),
    ),
    ("torch's automatic precision", _autocast, _set_autocast),
    ("hooks of all modules", _hooks, _put_hooks_back),
    (
        "torch's choice of deterministic algorithms",
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
    ),
    ("the precision of torch's products", _precision, _set_precision),
    ("torch's kernels of attention", _attention, _set_attention),
    ("torch's smallest numbers", _flushes_denormals, torch.set_flush_denormal),
    *map(_flag, FLAGS),
    ("numpy's handling of errors", np.geterr, lambda value: np.seterr(**value)),
    ("the current folder", Path.cwd, os.chdir),
    ("the limit of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
    ("the collection of garbage", gc.isenabled, lambda on: (gc.disable, gc.enable)[on]()),
    ("the profiler", sys.getprofile, _set_profile),
    ("the tracer", sys.gettrace, sys.settrace),
    (
        "the tracing of memory",
        tracemalloc.is_tracing,
        lambda on: (tracemalloc.stop, tracemalloc.start)[on](),
    ),
    ("the handlers of signals", _handlers, _put_handlers_back),
)
"""Name, getter and setter of each state."""


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
        self._states = [_read(read) for _, read, _ in STATES]
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
            if value is not MISSING and _read(read) != value:
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


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception:  # where it could be read before, a broken getter is a change
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
