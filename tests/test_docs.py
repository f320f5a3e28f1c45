"""What the documentation says is so: its commands run, its Python runs, its files are there."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bench.plugins.registry import built_in_methods
from bench.report.cases.outcomes import Outcomes
from bench.runs.directory import read_run
from tests.command import EPISODES, call, parse, shortened
from tests.conftest import videos_of
from tests.outside_package import plugins_as_they_were

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
REAL = re.compile(
    "--weights|efficientnet|ucf101|hmdb51|ssv2|kinetics|egogestar|avletters|cuda|PATH|FOLDER|FILE|NAME"
)
"""What a command needs that a test machine has not: it is only parsed."""
LONG = ("train", "throughput", "check-method --all")
"""What takes minutes: only parsed here."""


def blocks(page: Path, kind: str) -> list[str]:
    """Code of one kind on a page, without the indentation of the list it stands in."""
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[str]:
    for block in blocks(page, "(?:sh|console|bash)"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("fvbench "):
                yield line.partition(" #")[0]


WITH_COMMANDS = [page for page in PAGES if list(commands(page))]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT / "docs"))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five classes of two videos."""
    kinds = ("open-door", "close-door", "wave", "jump", "sit")
    return videos_of(tmp_path_factory.mktemp("docs") / "videos", kinds)


@pytest.fixture
def folder(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_charts: None
) -> Iterator[Path]:
    """Where a reader is: in a clone, with a folder of videos."""
    (tmp_path / "videos").symlink_to(videos)
    answers = [f"{episode},{query},0" for episode in range(int(EPISODES)) for query in range(5)]
    (tmp_path / "my-method.csv").write_text("\n".join(["episode,query,prediction", *answers]))
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    (tmp_path / "methods").symlink_to(ROOT / "methods")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "runs").symlink_to(ROOT / "results" / "runs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FVBENCH_EPISODES", EPISODES)
    monkeypatch.setattr("bench.report.cases.gallery.FORMATS", ())  # drawn, but not written
    with plugins_as_they_were():
        yield tmp_path


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_every_command_of_a_page_runs(page: Path, folder: Path):
    for line in commands(page):
        words = shortened(line)
        if REAL.search(line) or line.removeprefix("fvbench ").startswith(LONG):
            parse(words)
            continue
        status, said = call(*words)
        assert status == 0, f"{line}\n{said}"


def test_the_picture_of_a_case_is_the_clearest_of_its_kind_in_the_committed_runs():
    page = (ROOT / "docs" / "tutorial" / "report-and-cases.md").read_text()
    kind = re.search(r"the clearest of `([a-z-]+)` in the committed runs", page)
    command = re.search(r"^fvbench cases (results/runs/.*) --episodes (\d+):(\d+) ", page, re.M)
    outcomes = Outcomes([read_run(ROOT / one) for one in command[1].split()])
    shown = (int(command[2]), int(command[3]))
    assert outcomes.find(kind[1])[0] == shown, (
        "the runs have changed: name the clearest query on the page, run its command, and copy"
        " both pictures to docs/case.png and docs/attention.png"
    )


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_python_that_is_shown_runs(page: Path, folder: Path):
    for block in blocks(page, "python"):
        shorter = re.sub(r"episodes=\d+", f"episodes={EPISODES}", block)
        exec(compile(shorter, str(page), "exec"), {})  # noqa: S102 - our own documentation


def test_pictures_and_pages_that_are_linked_are_there():
    generated = ("docs/methods", "docs/reference")
    for page in (*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!https?://)([^)#\s]+)", page.read_text()):
            target = (page.parent / link).resolve()
            if not str(target.relative_to(ROOT)).startswith(generated):
                assert target.exists(), f"{page}: {link}"


def test_environments_that_contributors_are_told_of_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    environments = re.findall(r"^\[testenv:(\w+)\]", (ROOT / "tox.ini").read_text(), re.M)
    named = re.search(r"environments of `tox.ini`: (.*)$", text, re.M)
    assert set(re.findall(r"`(\w+)`", named[1])) <= set(environments)


@pytest.fixture
def hooks() -> ModuleType:
    """What generates pages."""
    pytest.importorskip("mkdocs", reason="needs the extra docs: pip install .[docs]")
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    return hooks


@pytest.mark.parametrize("up", ["", "../"])
def test_the_results_are_linked_on_github_and_in_the_built_pages(up: str, hooks: ModuleType):
    shown = hooks.on_page_markdown(f"[a]({up}../results/README.md#b), [c](data.md)")
    assert shown == f"[a]({up}results.md#b), [c](data.md)"


def test_every_method_has_a_page_that_says_where_it_is_from(
    hooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # All reference files and runs are read where the documentation is built.
    (tmp_path / "golden").mkdir()
    for file in hooks.GOLDEN.glob("alignment_*"):
        (tmp_path / "golden" / file.name).symlink_to(file)
    monkeypatch.setattr(hooks, "GOLDEN", tmp_path / "golden")
    monkeypatch.setattr(hooks, "RUNS", hooks.RUNS / "tuned" / "seed-0")
    pages = {name: hooks.method_page(name) for name in hooks.families()}
    for entry in built_in_methods().values():
        if entry.cls.__module__.startswith("methods."):
            assert entry.cls.source in pages[entry.cls.name]
            assert entry.name in pages[entry.cls.name]
    assert "`temperature`" in pages["otam"]
    assert re.search(r"otam/logits \| \d\.\de-0\d", pages["otam"])
    assert "| `mastaf-self` | `branches='self'` |" in pages["mastaf"]


def test_the_notebook_runs_from_its_first_cell_to_its_last(folder: Path):
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    scope = {"__name__": "__main__"}
    for cell in cells:
        shorter = re.sub(r"episodes=\d+", f"episodes={EPISODES}", "".join(cell["source"]))
        exec(shorter, scope)  # noqa: S102 - our own documentation
    shown = [one for cell in cells for one in cell["outputs"]]
    assert len(shown) == len(cells) - 1  # all were run, of which one defines a method
    assert all(one["output_type"] == "execute_result" for one in shown)
    assert {"text/html", "image/svg+xml"} <= {kind for one in shown for kind in one["data"]}
