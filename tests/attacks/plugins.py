"""A family of hostile methods: every misdeed in every function, beside methods that are clean.

Between any two of them runs a clean method, whose answers must be those of a run without them.
"""

import json
import re
import resource
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.outcomes import Outcome, Tally
from tests.attacks.places import Place, make_place
from tests.attacks.processes import prepare, run
from tests.command import predictions

LARGE = 10**6
HEAD = """
import builtins, ctypes, gc, logging, math, os, random, signal, sys, time, warnings
import numpy as np
import torch
import torch.utils._python_dispatch
import bench.running.loop
from bench.method import Method, REGISTRY, register
KEPT = []

class Base(Method):
    revision, source, differs, needs, order_aware = 1, "nobody", "nothing", "maps", False

    def encode(self, features):
        return features.flatten(2).mean(dim=2)

    def adapt(self, support):
        return support.mean(dim=2)

    def score(self, state, query):
        return query @ state.transpose(1, 2)

class Twice(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, function, types, given=(), named=None):
        result = function(*given, **(named or {}))
        return result * 2 if function is torch.Tensor.matmul else result

class Halved(torch.utils._python_dispatch.TorchDispatchMode):
    def __torch_dispatch__(self, function, types, given=(), named=None):
        result = function(*given, **(named or {}))
        return result / 2 if function is torch.ops.aten.bmm.default else result

class Speechless(Exception):
    def __str__(self):
        raise ValueError
"""
ANY = "method "
"""Of a reason, whichever it is: it may fail itself before it is found out."""
HARMLESS = ""
"""In place of words of a reason: the others do not notice, and the method has rows of its own."""
DEEDS: Mapping[str, tuple[str, str]] = {
    "raises": ("raise ValueError('own words')", "ValueError: own words"),
    "raises-a-warning": ("raise UserWarning('w')", "UserWarning: w"),
    "raises-without-words": ("raise Speechless", "failed: Speechless"),
    "raises-much": ("raise ValueError('much ' * 10**6)", "ValueError: much much"),
    "raises-escapes": ("raise ValueError('\\x1b[31m\\n::error::x')", "ValueError: "),
    "raises-a-base": ("raise GeneratorExit", "GeneratorExit"),
    "ends-an-iteration": ("raise StopIteration", "StopIteration"),
    "fails-for-memory": ("raise MemoryError", "MemoryError"),
    "fails-like-a-system": ("raise OSError(28, 'No space left on device')", "OSError"),
    "asserts": ("assert not given, 'own words'", "AssertionError: own words"),
    "exits": ("sys.exit(0)", "SystemExit: 0"),
    "exits-with-words": ("sys.exit('own words')", "SystemExit: own words"),
    "recurses": ("f = lambda: f(); f()", "RecursionError"),
    "wants-memory": ("torch.empty(1 << 60)", "RuntimeError"),
    "opens-files": (
        "files = []\nwhile True: files.append(open(os.devnull))",
        "OSError: [Errno 24]",
    ),
    "sleeps": ("time.sleep(1000)", "took longer than"),
    "never-ends": ("while True: pass", "took longer than"),
    "catches-all": (
        "while True:\n    try: time.sleep(0.01)\n    except Exception: pass",
        "took longer than",
    ),
    "default-type": ("torch.set_default_dtype(torch.float64)", "torch's default type"),
    "default-device": ("torch.set_default_device('meta')", ""),
    "threads": ("torch.set_num_threads(2)", "torch's number of threads"),
    "gradients": ("torch.set_grad_enabled(True)", ""),
    "inference": ("KEPT.append(torch.inference_mode()); KEPT[-1].__enter__()", ""),
    "autocast": (
        "KEPT.append(torch.autocast('cpu', dtype=torch.bfloat16)); KEPT[-1].__enter__()",
        "automatic precision",
    ),
    "hooks-modules": (
        "torch.nn.modules.module.register_module_forward_hook(lambda m, i, o: o * 2)",
        "hooks of all modules",
    ),
    "changes-functions": (
        "KEPT.append(Twice()); KEPT[-1].__enter__()",
        "another mode of its functions",
    ),
    "changes-operators": (
        "KEPT.append(Halved()); KEPT[-1].__enter__()",
        "the modes of torch's operators",
    ),
    "picks-kernels": ("torch.backends.cudnn.benchmark = True", "torch.backends.cudnn.benchmark"),
    "picks-attention": ("torch.backends.cuda.enable_math_sdp(False)", "kernels of attention"),
    "leaves-the-fast-path": ("torch.backends.mha.set_fastpath_enabled(False)", "backends.mha"),
    "orders-sums": ("torch.backends.opt_einsum.strategy = 'greedy'", "backends.opt_einsum"),
    "rounds-convolutions": (
        "torch.backends.cudnn.allow_tf32 = False",
        "precision of torch's products",
    ),
    "anomalies": ("torch.autograd.set_detect_anomaly(True)", "torch's search for anomalies"),
    "determinism": ("torch.use_deterministic_algorithms(True)", ANY),
    "precision": ("torch.set_float32_matmul_precision('medium')", "precision of torch's products"),
    "denormals": ("torch.set_flush_denormal(True)", "torch's smallest numbers"),
    "onednn": ("torch._C._set_mkldnn_enabled(False)", "torch.backends.mkldnn"),
    "numpy": ("np.seterr(all='raise')", "numpy's handling of errors"),
    "folder": ("os.chdir('/')", "the current folder"),
    "environment": ("os.environ['HOME'] = '/nowhere'", "the environment"),
    "no-environment": ("os.environ.clear()", "the environment"),
    "recursion": ("sys.setrecursionlimit(5000)", "the limit of recursion"),
    "garbage": ("gc.disable()", "the collection of garbage"),
    "profiles": ("sys.setprofile(lambda *_: None)", "the profiler"),
    "traces": ("sys.settrace(lambda *_: None)", "the tracer"),
    "traces-memory": ("import tracemalloc; tracemalloc.start()", "the tracing of memory"),
    "alarms": ("signal.setitimer(signal.ITIMER_REAL, 1000)", "an alarm"),
    "signals": ("signal.signal(signal.SIGUSR1, signal.SIG_IGN)", "the handlers of signals"),
    "patches-torch": ("torch.stack = lambda *a, **b: None", ANY),
    "patches-tensors": ("torch.Tensor.mean = torch.Tensor.sum", ANY),
    "patches-functions": ("torch.nn.functional.normalize = lambda x, **b: x", ANY),
    "patches-layers": ("torch.nn.Linear.forward = lambda self, x: x", "Linear.forward"),
    "patches-norms": ("np.linalg.norm = lambda x, *a, **b: 1.0", "numpy.linalg.norm"),
    "patches-numpy": ("np.argsort = lambda x, **b: np.arange(len(x))", ANY),
    "patches-math": ("math.sqrt = lambda x: x", ANY),
    "patches-builtins": ("builtins.sum = lambda *a: 0", ANY),
    "patches-the-loop": ("bench.running.loop.best_two = lambda x: x[..., :3]", ANY),
    "patches-another": ("REGISTRY['protonet'].cls.score = lambda self, s, q: torch.zeros(1)", ANY),
    "hides-modules": ("sys.modules['numpy'] = None", ANY),
    "forgets-the-others": ("REGISTRY.clear()", HARMLESS),
    "reseeds": ("torch.manual_seed(1); np.random.seed(1); random.seed(1)", HARMLESS),
    "draws": ("torch.rand(9), np.random.rand(9), random.random()", HARMLESS),
    "draws-otherwise": ("np.random.set_bit_generator(np.random.PCG64(1))", HARMLESS),
    "folders-of-modules": ("sys.path.insert(0, '/nowhere')", HARMLESS),
    "warnings": ("warnings.simplefilter('error')", HARMLESS),
    "logging": ("logging.disable()", HARMLESS),
    "adds-to-the-environment": ("os.environ['OWN'] = '1'", HARMLESS),
    "prints": ("print('{noise', '\\x1b[31m'); os.write(1, b'noise}')", HARMLESS),
    "closes-output": ("os.close(1)", ""),
    "closes-stdout": ("sys.stdout.close()", ""),
    "closes-errors": ("sys.stderr.close()", ""),
}
"""What a function does before it does its work, and words of the reason. Some are not to be told
from harmless ones in functions after which torch puts things right itself: rows or a reason."""
EITHER = {
    "alarms",  # those of a time limit take their place
    "default-device",
    "gradients",
    "inference",
    "closes-output",
    "closes-stdout",
    "closes-errors",
}
HOOKS = ("__init__", "encode", "adapt", "score")
ENCODE, ADAPT, SCORE = (f"super().{hook}(*given)" for hook in HOOKS[1:])
GIVEN: Mapping[str, tuple[str, str, str]] = {
    "encodes-too-few": ("encode", f"return {ENCODE}[:-1]", "one row per video"),
    "encodes-one": ("encode", f"return {ENCODE}[:1]", "one row per video"),
    "encodes-a-scalar": ("encode", f"return {ENCODE}.sum()", "one row per video"),
    "encodes-numbers": ("encode", "return [1, 2]", "encode() returns a tensor"),
    "encodes-nothing": ("encode", "return None", "encode() returns a tensor"),
    "encodes-no-tensors": ("encode", "return ()", "encode() returns a tensor"),
    "encodes-nan": ("encode", f"return {ENCODE} * torch.nan", "not finite"),
    "encodes-elsewhere": ("encode", f"return {ENCODE}.to('meta')", ""),
    "encodes-the-features": ("encode", "return given[0]", ""),
    "adapts-nothing": ("adapt", "return None", "AttributeError"),
    "adapts-nan": ("adapt", f"return {ADAPT} * torch.nan", "not finite"),
    "adapts-too-few": ("adapt", f"return {ADAPT}[:, :-1]", "of shape"),
    "adapts-doubles": ("adapt", f"return {ADAPT}.double()", "RuntimeError"),
    "scores-nan": ("score", f"return {SCORE} * torch.nan", "not finite"),
    "scores-infinity": ("score", f"return {SCORE} + torch.inf", "not finite"),
    "scores-one-nan": ("score", f"r = {SCORE}; r[-1, -1, -1] = torch.nan; return r", "not finite"),
    "scores-too-few": ("score", f"return {SCORE}[:, :-1]", "of shape"),
    "scores-too-many": ("score", f"return {SCORE}.repeat(1, 1, 2)", "of shape"),
    "scores-transposed": ("score", f"return {SCORE}.mT[..., None]", "of shape"),
    "scores-integers": ("score", f"return {SCORE}.long()", "of type torch.int64"),
    "scores-truths": ("score", f"return {SCORE} > 0", "of type torch.bool"),
    "scores-complex": ("score", f"return {SCORE} + 0j", "of type torch.complex64"),
    "scores-an-array": ("score", f"return {SCORE}.numpy()", "of type ndarray"),
    "scores-nothing": ("score", "return None", "of type NoneType"),
    "scores-elsewhere": ("score", f"return {SCORE}.to('meta')", ""),
    "changes-features": ("encode", f"given[0].sub_(1); return {ENCODE}", "in its encode()"),
    "changes-a-part": ("encode", f"given[0][0] = 0; return {ENCODE}", "in its encode()"),
    "changes-data": ("encode", f"given[0].data.zero_(); return {ENCODE}", "the features"),
    "changes-past-torch": (
        "encode",
        f"given[0].numpy()[:] = 0; return {ENCODE}",
        "unnoticed by torch",
    ),
    "swaps-past-torch": (
        "encode",
        f"a = given[0].numpy(); a[:] = a[:, ::-1].copy(); return {ENCODE}",
        "unnoticed by torch",
    ),
    "changes-by-address": (
        "encode",
        f"ctypes.memset(given[0].data_ptr(), 1, 64); return {ENCODE}",
        "unnoticed by torch",
    ),
    "shrinks-features": ("encode", f"r = {ENCODE}; given[0].resize_(1); return r", ""),
    "keeps-and-changes-features": (
        "score",
        f"KEPT[-1].sub_(1) if KEPT else None; return {SCORE}",
        "",
    ),
    "changes-the-support": ("adapt", f"given[0].zero_(); return {ADAPT}", HARMLESS),
    "changes-the-query": ("score", f"given[1].zero_(); return {SCORE}", HARMLESS),
    "ends-without-rows": ("score", "yield", "of type generator"),
}
"""A function, its body, and words of the reason."""
EITHER_GIVEN = {
    *("encodes-elsewhere", "encodes-the-features", "scores-elsewhere", "shrinks-features"),
    "keeps-and-changes-features",
}


@dataclass(frozen=True)
class Hostile:
    """One method."""

    name: str
    body: str
    """Of its class."""
    reason: str
    either: bool = False
    """Whether it may have rows or any reason."""


def family(hooks: Sequence[str] = HOOKS) -> list[Hostile]:
    """Every deed in every one of these functions, and everything that a function can give."""
    found = [
        Hostile(
            f"{name}-in-{hook.strip('_')}",
            _function(hook, f"{body}\nreturn super().{hook}(*given)"),
            reason,
            name in EITHER,
        )
        for hook in hooks
        for name, (body, reason) in DEEDS.items()
    ]
    return found + [
        Hostile(name, _function(hook, body), reason, name in EITHER_GIVEN)
        for name, (hook, body, reason) in GIVEN.items()
    ]


def _function(hook: str, body: str) -> str:
    lines = [line for part in body.splitlines() for line in _statements(part)]
    return "\n        ".join([f"def {hook}(self, *given):", *lines])


def _statements(line: str) -> list[str]:
    """A line that ends in a return holds statements before it."""
    return [line] if ":" in line else line.split("; ")


def write(file: Path, hostile: Sequence[Hostile]) -> list[str]:
    """Write a plugin of hostile methods, with a clean one behind each; return all names."""
    parts, names = [HEAD], []
    for number, one in enumerate(hostile):
        names += [one.name, f"clean-{number}"]
        parts.append(
            f"@register\nclass H{number}(Base):\n    name = '{one.name}'\n    {one.body}\n"
        )
        parts.append(f"@register\nclass C{number}(Base):\n    name = 'clean-{number}'\n")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(parts))
    return names


def outcome(one: Hostile, reason: str | None, rows: bool) -> tuple[Outcome, str]:
    """What became of a method: it may have a reason, or rows."""
    if reason is not None and "\n" not in reason and len(reason) < 700:
        if one.either or (one.reason and one.reason in reason):
            return "named", ""
    elif rows and (one.either or one.reason == HARMLESS):
        return "harmless", ""
    return "wrong", f"{one.name}: reason {(reason or '')[:300]}, {'with' if rows else 'no'} rows"


def main(most: int) -> Iterator[Tally]:
    """Try every method of the family; then what is done while a file is imported, or trains."""
    prepare()
    with tempfile.TemporaryDirectory() as name:
        place = make_place(Path(name))
        for hook in HOOKS:
            methods = [one for one in family([hook]) if one.name not in GIVEN][:most]
            yield attack(f"hostile methods: {hook.strip('_')}", methods, place)
        yield attack("hostile methods: what is given", family([])[:most], place)
        yield imports(place, most)
        yield losses(place, most)
        yield ends(place)


def attack(title: str, hostile: Sequence[Hostile], place: Place) -> Tally:
    """Run hostile methods, a clean one behind each."""
    tally = Tally(title)
    file, out = place.folder / title.replace(" ", "-") / "hostile.py", place.folder / "out"
    names = write(file, hostile)
    clean = _run(place, file, [*names[1::2], "protonet", "otam"], f"clean-{title}")
    expected = predictions(clean)
    out = _run(place, file, [*names, "protonet", "otam"], f"out-{title}", "--time-limit", 5)
    found, said = predictions(out), (place.folder / "log").read_text(errors="replace")
    summary = out / "summary.json"
    if "Traceback" in said or not summary.is_file():
        tally.add("traceback", said[-1500:])
        return tally
    reasons = {one["method"]: one["reason"] for one in json.loads(summary.read_text())["failed"]}
    for number, one in enumerate(hostile):
        result, words = outcome(one, reasons.get(one.name), one.name in found)
        beside = f"clean-{number}"
        if (found.get(beside) != expected[beside]).any():
            result, words = "wrong", f"{one.name} changed the rows of the next: {reasons}"[:600]
        tally.add(result, words)
    for name in ("protonet", "otam"):
        if (found.get(name) != expected[name]).any():
            tally.add("wrong", f"rows of {name}: {reasons.get(name)}")
    return tally


def few_files() -> None:
    """Let a process open no more files than a system with a low limit does."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def _run(place: Place, file: Path, names: Sequence[str], out: str, *more: object) -> Path:
    folder = place.folder / out
    words = ("run", "--data", place.videos, "--episodes", 8, "--no-report", "--out", folder)
    command = run(
        (*words, "--plugin", file, "--methods", ",".join(names), *more),
        place.folder / "log",
        place.environment,
        few_files,
    )
    if command.status not in {0, 1}:
        raise RuntimeError(f"status {command.status}: {command.said()[-2000:]}")
    return folder


def imports(place: Place, most: int) -> Tally:
    """Do each deed while the file is imported: it is named, or the others notice nothing."""
    tally = Tally("hostile files: while they are imported")
    _import(place, None)
    expected = predictions(place.folder / "imported")["protonet"]
    for name, (body, reason) in list(DEEDS.items())[:most]:
        if reason == "took longer than":  # nothing limits an import, which a person sees to hang
            continue
        # Alone in its folder: files beside a plugin can be imported, one called numpy.py too.
        file = place.folder / "imports" / name / "hostile.py"
        file.parent.mkdir(parents=True)
        lines = [*HEAD.splitlines(), "given = True", *body.splitlines()]
        file.write_text("\n".join(lines))
        command = _import(place, file)
        status, said = command
        words = " ".join(said.split())
        if status == 2 and file.name in words and "Traceback" not in words:
            status = _import(place, file, "--keep-going")[0]
        if status != 0 or "Traceback" in words:
            tally.add("traceback", f"{name}: {status}: {words[-600:]}")
        elif (predictions(place.folder / "imported")["protonet"] != expected).any():
            tally.add("wrong", name)
        else:
            tally.add("named" if file.name in words else "harmless")
            if (file.name not in words) != (reason == HARMLESS) and name not in EITHER:
                tally.add("wrong", f"{name}: {words[-300:]}")
    return tally


def _import(place: Place, file: Path | None, *more: object) -> tuple[int | None, str]:
    words = ("run", "--data", place.videos, "--episodes", 8, "--no-report", "--methods", "protonet")
    words += ("--out", place.folder / "imported", *(("--plugin", file) if file else ()), *more)
    command = run(words, place.folder / "log", place.environment, few_files)
    return command.status, command.said()


WHO = re.compile("error: (method|training|the loss of|the source code of) fails")
"""It is called so; what it takes too much memory for is its training."""
LEARNS = """
    def __init__(self, shape, settings=None):
        super().__init__(shape, settings)
        self.map = torch.nn.Linear(shape.channels, 4)
"""


def losses(place: Place, most: int) -> Tally:
    """Do each deed in a training's loss: one line names the method, or the same weights come of it.

    Nothing limits the time of a training, nor what it changes for itself.
    """
    tally = Tally("hostile methods: loss")
    deeds = {"clean": ("pass", HARMLESS)} | dict(list(DEEDS.items())[:most])
    expected = b""
    for name, (body, reason) in deeds.items():
        if reason == "took longer than":
            continue
        file, out = place.folder / "losses" / name / "hostile.py", place.folder / "trained" / name
        file.parent.mkdir(parents=True)
        loss = "return {'episode': self.map.weight.sum() ** 2}"
        text = f"@register\nclass Fails(Base):\n    name = 'fails'{LEARNS}    "
        hook = _function("loss", f"{body}\n{loss}")
        file.write_text(f"{HEAD}\n{text}{hook}\n")
        words = ("train", "fails", "--plugin", file, "--freeze-backbone", "--recipe", place.recipe)
        command = run((*words, "--out", out), place.folder / "log", place.environment, few_files)
        said = " ".join(command.said().split())
        weights = out / "fails" / "seed-0" / "weights.safetensors"
        expected = expected or weights.read_bytes()
        if command.status == 0 and weights.read_bytes() != expected:
            tally.add("wrong", f"{name}: other weights")
        elif command.status == 0 and (reason == HARMLESS or name in EITHER):
            tally.add("harmless")
        elif command.status == 2 and "Traceback" not in said and WHO.search(said):
            # Code that finds other methods is not trained: a card could not identify it.
            unfair = reason == HARMLESS and name not in EITHER and "REGISTRY" not in body
            tally.add("wrong" if unfair else "named", f"{name}: {said[-300:]}")
        else:
            tally.add("traceback", f"{name}: status {command.status}: {said[-600:]}")
    return tally


ENDS = {
    "exits-past-python": "os._exit(7)",
    "exits-past-python-in-peace": "os._exit(0)",
    "kills-itself": "os.kill(os.getpid(), signal.SIGKILL)",
    "crashes": "ctypes.string_at(0)",
    "aborts": "os.abort()",
    "cannot-be-stopped": "signal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
}
"""What ends the process, one way or another."""


def ends(place: Place) -> Tally:
    """End the process: the next run names the method, and what was finished is kept."""
    tally = Tally("hostile methods: what ends the process")
    for name, body in ENDS.items():
        one = Hostile(name, _function("score", f"{body}\nreturn {SCORE}"), "")
        file, out = place.folder / name / "ends.py", place.folder / f"out-{name}"
        write(file, [one])
        words = ("run", "--data", place.videos, "--episodes", 8, "--no-report", "--out", out)
        words += ("--plugin", file, "--time-limit", 1, "--methods")
        first = run(
            (*words, f"protonet,{name},otam"), place.folder / "log", place.environment, few_files
        )
        header = out / "protonet" / "run.json"
        kept = header.stat().st_mtime_ns
        again = run((*words, "protonet,otam"), place.folder / "log", place.environment, few_files)
        said = again.said()
        sound = again.status == 0 and header.stat().st_mtime_ns == kept
        if sound and f"{name} on " in said and set(predictions(out)) == {"protonet", "otam"}:
            tally.add("named")
        else:
            tally.add("wrong", f"{name}: {first.status}, {again.status}: {said[-400:]}")
    return tally
