"""Methods that fail in every way: each is named with its reason, and the others go on."""

import copy
import cProfile
import gc
import json
import signal
import sys
import time
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.machine.surroundings import Surroundings
from bench.plugins.registry import load_plugins
from bench.runs.directory import find_failures
from episodes.split import Video
from tests.attacks.plugins import DEEDS, HEAD, HOOKS, LEARNS, Hostile, family, outcome, write
from tests.command import call, fvbench, predictions, refused, succeeds

pytestmark = pytest.mark.usefixtures("plugins_forgotten")
GOOD = ("protonet", "otam")
IN_SEVERAL_PARTS = (
    Hostile(
        "encodes-unevenly",
        "def encode(self, x):\n        KEPT.append(0)\n"
        "        return super().encode(x)[:, : 90 + len(KEPT) % 2]",
        "of another type or shape",
    ),
    Hostile(
        "encodes-in-two-types",
        "def encode(self, x):\n        KEPT.append(0)\n"
        "        return super().encode(x).to([torch.float32, torch.float64][len(KEPT) % 2])",
        "of another type or shape",
    ),
    Hostile(
        "changes-features-later",
        "def encode(self, x):\n        self.kept = x\n        return super().encode(x)\n"
        "    def score(self, s, q):\n        self.kept += 1\n        return super().score(s, q)",
        "in its adapt or score()",
    ),
)
ELSEWHERE = ("closes-", "opens-files", "determinism")
"""What these do takes long, or is done to a process of its own, by `tests.attacks.plugins`."""


def hostile() -> list[Hostile]:
    """Every deed in one of the functions by turns; whatever can be given."""
    by_hook = [family([hook])[: len(DEEDS)] for hook in HOOKS]
    deeds = [by_hook[number % len(HOOKS)][number] for number in range(len(DEEDS))]
    given = family([])
    return [
        one for one in (*deeds, *given, *IN_SEVERAL_PARTS) if not one.name.startswith(ELSEWHERE)
    ]


@pytest.mark.usefixtures("without_charts")
def test_whatever_a_method_does_the_others_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("bench.running.loop.ENCODE_CHUNK", 16)  # several, of few videos
    words = ("run", "--episodes", "2")
    assert call(*words, "--methods", ",".join(GOOD), "--out", tmp_path / "clean")[0] == 0
    methods = hostile()
    write(tmp_path / "plugins" / "hostile.py", methods)
    endless = [one.name for one in methods if one.reason == "took longer than"]
    names = [one.name for one in methods if one.name not in endless]
    order = [names[0], GOOD[0], *names[1:-1], GOOD[1], names[-1]]
    words = (*words, "--plugin", tmp_path / "plugins" / "hostile.py", "--out", tmp_path / "out")
    # A limit for those alone that reach any: a busy machine makes others as slow.
    limited, ended = call(*words, "--methods", ",".join(endless), "--time-limit", "1")
    status, said = call(*words, "--methods", ",".join(order), "--report")
    assert (limited, status) == (1, 1), ended + said
    assert "Traceback" not in ended + said
    reasons = {one.method: one.reason for one in find_failures(tmp_path / "out")}
    page = (tmp_path / "out" / "report.html").read_text()
    clean, beside = predictions(tmp_path / "clean"), predictions(tmp_path / "out")
    for one in methods:
        found, words = outcome(one, reasons.get(one.name), one.name in beside)
        assert found != "wrong", words
        if found == "named":
            assert f"failed: {one.name} on default" in ended + said
            assert one.name in endless or f"{one.name} failed: " in page
    assert any("an alarm" in reason for reason in reasons.values())  # no time limit took its place
    for name in GOOD:
        np.testing.assert_array_equal(clean[name], beside[name])
    # A table made later still says so.
    said = call("tables", tmp_path / "out")[1]
    assert "scores-nan failed on default" in " ".join(said.split())


def test_a_method_that_works_again_is_run_again(tmp_path: Path):
    file = tmp_path / "mended.py"
    words = ("run", "--episodes", "2", "--methods", "mended,protonet", "--plugin", file)
    for body, status in (("raise ValueError", 1), ("return super().score(s, q)", 0)):
        text = "@register\nclass Mended(Base):\n    name = 'mended'\n"
        file.write_text(f"{HEAD}{text}    def score(self, s, q): {body}\n")
        found, said = call(*words, "--out", tmp_path / "out")
        assert found == status, said
        assert (tmp_path / "out" / "mended" / "failed.json").exists() == bool(status)
        assert (tmp_path / "out" / "mended" / "run.json").exists() == (not status)
        for name in [name for name in sys.modules if name.endswith("mended")]:
            del sys.modules[name]


def test_if_all_methods_fail_nothing_else_is_said(tmp_path: Path):
    file = tmp_path / "hostile.py"
    write(file, [Hostile("raises", "def score(self, s, q): raise ValueError('own words')", "")])
    words = ("--methods", "raises", "--plugin", file, "--out", tmp_path / "out")
    status, said = call("run", "--episodes", "2", *words)
    assert status == 1
    last = said.splitlines()[-1]
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "own words" in text)
    assert last.startswith("failed: raises on default")
    assert last.endswith(f"ValueError: own words ({file.name}, line {line})")


def test_a_method_that_exits_in_training_is_named_in_a_line(tmp_path: Path, small_recipe: Path):
    file = tmp_path / "fails.py"
    text = "@register\nclass Fails(Base):\n    name = 'fails'\n"
    file.write_text(f"{HEAD}{text}{LEARNS}    def loss(self, x): sys.exit(0)\n")
    words = ("--plugin", file, "--freeze-backbone", "--recipe", small_recipe)
    said = refused("train", "fails", *words, "--out", tmp_path / "out").splitlines()[-1]
    assert said.startswith("error: method fails failed: SystemExit: 0")
    assert "(fails.py, line " in said


def test_a_method_that_ends_the_process_costs_its_own_run_alone(tmp_path: Path):
    file = tmp_path / "ends.py"
    text = "@register\nclass Ends(Base):\n    name = 'ends'\n"
    file.write_text(f"{HEAD}{text}    def score(self, s, q): os._exit(7)\n")
    words = ("run", "--episodes", "2", "--plugin", file, "--out", tmp_path / "out")
    ended = fvbench(*words, "--methods", "protonet,ends,otam")
    assert ended.returncode == 7
    before = (tmp_path / "out" / "protonet" / "run.json").stat().st_mtime_ns
    said = succeeds(*words, "--methods", "protonet,otam")
    assert "note: ends on default was running when" in said
    assert (tmp_path / "out" / "protonet" / "run.json").stat().st_mtime_ns == before
    assert set(predictions(tmp_path / "out")) == {"protonet", "otam"}
    theirs = tmp_path / "out" / "videos" / "running"  # a class of videos; a file of somebody's own
    theirs.mkdir(parents=True)
    for name in ("running", "notes.txt"):
        (theirs / name).write_text("mine")
    status, said = call(*words, "--methods", "protonet,otam")
    assert (status, "was running" in said) == (0, False)
    assert (theirs / "running").read_text() == "mine"


def test_what_a_file_changed_before_it_failed_is_put_back(tmp_path: Path):
    file = tmp_path / "fails.py"
    file.write_text("import numpy as np\nnp.seterr(all='raise')\nraise ValueError\n")
    before = np.geterr()
    assert "ValueError" in refused("list", "methods", "--plugin", file)
    assert np.geterr() == before


@pytest.mark.parametrize("deed", ["raises-a-base", "threads", "patches-torch"])
def test_a_folder_that_harms_others_while_it_is_imported_ends_a_run_unless_it_may_go_on(
    deed: str, tmp_path: Path
):
    words = ("run", "--episodes", "2", "--methods", "protonet", "--out", tmp_path / "out")
    for ends, option in ((refused, ()), (succeeds, ("--keep-going",))):
        folder = tmp_path / ends.__name__  # what was imported once is not imported again
        folder.mkdir()
        (folder / "harms.py").write_text(f"{HEAD}\n{DEEDS[deed][0]}\n")
        assert f"plugin {folder}" in ends(*words, "--plugin", folder, *option)


def test_what_a_file_does_while_it_is_imported_is_undone(tmp_path: Path):
    file = tmp_path / "harms.py"
    deeds = ("forgets-the-others", "prints", "closes-stdout", "closes-output")
    file.write_text("\n".join([HEAD, *(DEEDS[one][0] for one in deeds)]))
    finished = fvbench("list", "methods", "--json", "--plugin", file)
    assert finished.returncode == 0, finished.stderr
    assert "protonet" in {one["name"] for one in json.loads(finished.stdout)}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_file_that_is_left_out_gives_back_what_it_had_opened(tmp_path: Path):
    file = tmp_path / "harms.py"
    file.write_text(
        f"{HEAD}\nclass Own(Base):\n    name = 'own'\nKEPT.append(open(__file__))\nraise OSError"
    )
    gc.disable()
    try:
        load_plugins([file], leave_out=True)
        opened = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    finally:
        gc.enable()
    assert file not in opened


def test_what_python_notes_in_a_class_whose_objects_it_copies_is_no_change():
    if "__slotnames__" in vars(Video):
        del Video.__slotnames__
    if "__annotations__" in vars(torch.nn.Tanh):
        del torch.nn.Tanh.__annotations__
    before = Surroundings()
    copy.copy(Video("label", "group", "name"))
    assert "__slotnames__" in vars(Video)
    assert torch.nn.Tanh.__annotations__ == {}  # which `torch.jit.script` asks for
    assert before.put_back() == []


def test_a_mode_that_a_method_left_open_does_not_come_back_when_it_is_collected():
    class Model:
        def __init__(self):
            self.mode, self.itself = torch.inference_mode(), self

    for kept in ([], [Model()]):  # it is collected at once, or later
        before = Surroundings()
        with torch.no_grad():
            (kept or [Model()])[0].mode.__enter__()
        assert len(before.put_back()) == 1
        kept.clear()
        gc.collect()
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


LEAVES_A_GENERATOR = """
@register
class Leaves(Base):
    name = 'leaves'

    def batches(self):
        with torch.random.fork_rng():
            yield

    def encode(self, x):
        self.kept = self.batches()
        torch.rand(99)
        next(self.kept)
        return super().encode(x)

@register
class Draws(Base):
    name = 'random'

    def score(self, s, q):
        gc.collect()  # as may happen at any time
        return torch.rand_like(super().score(s, q))
"""


def test_what_a_method_leaves_suspended_ends_before_the_next(tmp_path: Path):
    file = tmp_path / "plugin" / "leaves.py"
    file.parent.mkdir()
    file.write_text(HEAD + LEAVES_A_GENERATOR)
    words = ("run", "--episodes", "2", "--plugin", file, "--methods")
    found = []
    for methods in ("random", "leaves,random"):
        out = tmp_path / methods
        status, said = call(*words, methods, "--out", out)
        assert (status, "failed" in said) == (0, False), said
        found.append(predictions(out)["random"])
    np.testing.assert_array_equal(*found)


def test_what_a_flag_was_is_restored_exactly():
    """Precisions depend on each other, and torch refuses to read some mixtures."""
    before = Surroundings()
    for flag, other in (("cuda", "tf32"), ("mkldnn", "bf16")):
        getattr(torch.backends, flag).matmul.fp32_precision = other
    torch.backends.fp32_precision = "tf32"
    assert before.put_back() == ["the precision of torch's products"]
    assert Surroundings().put_back() == before.put_back() == []


@pytest.mark.parametrize("flag", ["cuda.matmul", "cudnn.conv", "mkldnn.matmul"])
def test_a_precision_that_the_user_set_stays(flag: str):
    """By newer flags, beside which torch refuses to read older ones."""
    at_first = Surroundings()
    owner = attrgetter(flag)(torch.backends)
    owner.fp32_precision = "ieee" if owner.fp32_precision != "ieee" else "tf32"
    own, before = owner.fp32_precision, Surroundings()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = not own
    assert before.put_back() == ["the precision of torch's products"]
    assert owner.fp32_precision == own
    assert Surroundings().put_back() == []
    at_first.put_back()


def test_both_parts_of_a_flag_that_the_user_set_stay():
    flag, products = "allow_bf16_reduced_precision_reduction", torch.backends.cuda.matmul
    at_first = Surroundings()
    setattr(products, flag, (False, False))
    before = Surroundings()
    setattr(products, flag, True)
    assert before.put_back() == [f"torch.backends.cuda.matmul.{flag}"]
    assert not getattr(products, f"{flag}_split_k")
    at_first.put_back()


def test_an_alarm_of_the_user_that_runs_out_is_no_change_of_a_method():
    rung: list[int] = []
    handler = signal.signal(signal.SIGALRM, lambda number, _: rung.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        before = Surroundings()
        while not rung:
            time.sleep(0.01)
        assert before.put_back() == []
    finally:
        signal.signal(signal.SIGALRM, handler)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="profiles of later versions are not seen")
def test_a_profile_of_the_whole_program_goes_on_after_a_method_with_its_own():
    with cProfile.Profile() as profile:
        before = Surroundings()
        sys.setprofile(None)
        assert before.put_back() == ["the profiler"]
        assert sys.getprofile() is profile


def test_a_debugger_around_the_program_may_stop_tracing_in_a_method():
    """As one does whose last breakpoint is taken away."""
    own = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        before = Surroundings()
        sys.settrace(None)
        assert before.put_back() == []
    finally:
        sys.settrace(own)


def test_a_default_device_that_was_set_leaves_no_mode_behind():
    """Every call of a function of torch would pass through it, and take longer."""
    before = Surroundings()
    torch.set_default_device("meta")
    assert before.put_back() == ["torch's default device or another mode of its functions"]
    assert torch.overrides._get_current_function_mode_stack() == []
