"""What of the process's state is looked after: a name, a getter and a setter for each part."""

import gc
import itertools
import os
import signal
import sys
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import _python_dispatch as operators

FLAGS = (
    *("cudnn.enabled", "cudnn.benchmark", "cudnn.deterministic"),
    *("mkldnn.enabled", "mkldnn.deterministic", "opt_einsum.enabled", "opt_einsum.strategy"),
    "cuda.matmul.allow_fp16_accumulation",
)
"""Attributes in `torch.backends`."""
ATTENTION = ("flash", "mem_efficient", "math", "cudnn")
"""Kernels of torch's attention."""
MISSING = object()
"""Stands for what cannot be read."""
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


def read_state(read: Callable[[], Any]) -> Any:
    """Call a getter; return `MISSING` if it fails, as those of flags that contradict others do."""
    try:
        return read()
    except Exception:  # where it could be read before, a broken getter is a change
        return MISSING


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
        read_state(torch.get_float32_matmul_precision),
        read_state(lambda: torch.backends.cudnn.allow_tf32),
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


def _reduction(kind: str) -> tuple[str, Callable[[], Any], Callable[[Any], object]]:
    """Whether sums of products are rounded in between; newer versions add whether they are split.

    The attribute reads as the first alone, and takes both.
    """
    name, _, write = _flag(f"cuda.matmul.allow_{kind}_reduced_precision_reduction")
    return name, getattr(torch._C, f"_get_cublas_allow_{kind}_reduced_precision_reduction"), write


def _set_profile(before: Any) -> None:
    if hasattr(before, "enable"):  # a `cProfile.Profile`, which is no function
        before.enable()
    else:
        sys.setprofile(before)


def _no_tracer() -> None:
    """Cannot be read where a debugger runs around the program: it comes and goes as it likes."""
    if sys.gettrace() is not None:
        raise RuntimeError


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
    *map(_reduction, ("fp16", "bf16")),
    ("numpy's handling of errors", np.geterr, lambda value: np.seterr(**value)),
    ("the current folder", Path.cwd, os.chdir),
    ("the limit of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
    ("the collection of garbage", gc.isenabled, lambda on: (gc.disable, gc.enable)[on]()),
    ("the profiler", sys.getprofile, _set_profile),
    ("the tracer", _no_tracer, sys.settrace),
    (
        "the tracing of memory",
        tracemalloc.is_tracing,
        lambda on: (tracemalloc.stop, tracemalloc.start)[on](),
    ),
    ("the handlers of signals", _handlers, _put_handlers_back),
)
"""Name, getter and setter of each state."""
