"""Use from Python: what the command line gives, as objects."""

import importlib
import linecache
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from time import sleep
from types import ModuleType

import numpy as np
import pytest
from matplotlib.figure import Figure

import bench
from bench import evaluate, load_bank, load_method
from bench.method import REGISTRY
from bench.running.execute import Executed
from episodes.errors import UserError
from tests.command import predictions, succeeds
from tests.outside_package import plugins_as_they_were

EPISODES = 4


@pytest.fixture(scope="module")
def results() -> "bench.Results":
    methods = [load_method("otam"), load_method("protonet")]
    return evaluate(methods, load_bank("default", EPISODES), device="cpu")


def test_rows_are_those_of_the_command(results: "bench.Results", tmp_path: Path):
    succeeds("run", "--methods", "otam,protonet", "--episodes", EPISODES, "--out", tmp_path)
    for method, expected in predictions(tmp_path).items():
        mine = results.rows.query(f"method == '{method}'")
        assert np.array_equal(mine["prediction"].to_numpy(), expected)
        assert mine["right"].tolist() == (mine["label"] == mine["prediction"]).tolist()


def test_the_table_is_the_comparison(results: "bench.Results"):
    assert results.table["title"].tolist() == [row.title for row in results.comparison.rows]
    best = results.comparison.rows[0]
    assert results.table["accuracy"][0] == best.accuracy
    low = results.table["interval over videos and classes_low"][0]
    assert low == best.intervals["videos and classes"][0]


def test_names_in_place_of_methods_and_banks_are_refused():
    bank, otam = load_bank("default", EPISODES), load_method("otam")
    for methods, where in (("otam", bank), (["otam"], bank), (otam, "default")):
        with pytest.raises(UserError, match=r"load_method\(\) and a bank of load_bank\(\)"):
            evaluate(methods, where)


def test_a_method_is_evaluated_once_and_in_one_form():
    bank, otam = load_bank("default", EPISODES), load_method("otam")
    for methods in ([], [otam, otam], [otam, load_method("otam", plain=True)]):
        with pytest.raises(UserError, match="at least one, and each once"):
            evaluate(methods, bank)


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ({"batch_size": 0}, "batch_size is 0; it is a whole number from 1"),
        ({"seed": -1}, "seed is -1; it is a whole number from 0"),
        ({"seed": 2**63}, "seed is 9223372036854775808;"),
        ({"seed": "0"}, "seed is '0';"),
        ({"features": "x.npz", "resize": "64"}, "resize: for videos, which features replace"),
        ({"features": "x.npz", "backbone": "motion"}, "backbone: for videos"),
        ({"features": "x.npz", "allow_missing": True}, "allow_missing: for videos"),
    ],
)
def test_arguments_are_those_that_the_command_takes(arguments: dict, refused: str):
    with pytest.raises(UserError, match=refused):
        evaluate(load_method("chance"), load_bank("default", EPISODES), **arguments)
    with pytest.raises(UserError, match="episodes is 2\\.5; it is a whole number from 1"):
        load_bank("default", 2.5)  # type: ignore[arg-type]
    assert len(load_bank("default", np.int64(2)).episodes) == 2  # type: ignore[arg-type]


def test_a_notebook_shows_bank_table_and_chart(results: "bench.Results"):
    assert "4, 5-way 1-shot" in load_bank("default", EPISODES)._repr_html_()
    shown = results._repr_html_()
    assert shown == results.comparison._repr_html_()
    assert shown.count("<tr>") == 3
    for row in results.comparison.rows:
        assert re.search(rf"<td>{100 * row.accuracy:.1f} *</td>", shown)
    chart = results.figure()
    assert isinstance(chart.figure, Figure)
    assert "<svg" in chart._repr_svg_()


def test_charts_and_reports_are_written(results: "bench.Results", tmp_path: Path):
    results.figure("speed").save(tmp_path / "speed.png")
    results.report(tmp_path / "report.html")
    assert (tmp_path / "speed.png").stat().st_size > 0
    assert "2 methods on the bank default" in (tmp_path / "report.html").read_text()


def test_weights_are_chosen_as_on_the_command_line():
    method, bank = load_method("relation-net"), load_bank("default", 2)
    (shipped,), (random,) = (
        evaluate(method, bank, weights=weights).runs for weights in (None, "none")
    )
    assert shipped.identity.weights_sha256
    assert random.identity.weights_sha256 is None


def test_a_method_of_a_file_is_found(tmp_path: Path):
    succeeds("new-method", "mine", "--into", tmp_path)
    with plugins_as_they_were():
        file = tmp_path / "mine.py"
        assert load_method("mine", plugin=file).name == "mine"
        file.write_text(file.read_text().replace("@ state.mT", "@ -state.mT"))
        with pytest.raises(UserError, match="mine is still what it was before: restart Python"):
            load_method("mine", plugin=file)
        importlib.reload(sys.modules[REGISTRY["mine"].cls.__module__])
        assert load_method("mine", plugin=file).name == "mine"


def test_threads_wait_for_each_other(monkeypatch: pytest.MonkeyPatch):
    """What a method draws from the process's generators depends on no other one."""
    method, bank, running = load_method("chance"), load_bank("default", 3), Lock()

    def slowly(*_: object) -> Executed:
        assert running.acquire(blocking=False)
        sleep(0.02)
        running.release()
        return Executed([], [])

    monkeypatch.setattr("bench.api.execute", slowly)
    with ThreadPoolExecutor(3) as pool:
        assert len(list(pool.map(lambda _: evaluate(method, bank, device="cpu"), range(4)))) == 4


def test_what_does_not_exist_is_refused():
    with pytest.raises(UserError, match="did you mean otam"):
        load_method("otm")
    with pytest.raises(UserError, match="no bank is called"):
        load_bank("absent")
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = bench.absent


def test_an_environment_variable_makes_examples_quick(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FVBENCH_EPISODES", "3")
    assert len(load_bank("default", episodes=500).episodes) == 3
    assert len(load_bank("default", episodes=2).episodes) == 2
    with pytest.raises(UserError, match="episodes"):
        load_bank("default", episodes=0)
    monkeypatch.setenv("FVBENCH_EPISODES", "few")
    with pytest.raises(UserError, match="such as 100"):
        load_bank("default")


NOTEBOOK = """
from bench.method import Method, register

@register
class FromACell(Method):
    name, revision, source, differs = "from-a-cell", 1, "a cell, 2026", "nothing"
    needs, order_aware = "vector", False

    def encode(self, features):
        return features.mean(dim=(2, 3, 4))

    def adapt(self, support):
        return support.mean(dim=2)

    def score(self, state, query):
        return query @ state.mT
"""


@pytest.mark.parametrize("with_source", [True, False])
def test_a_method_of_a_notebooks_cell_runs(
    with_source: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """It is reused where IPython keeps the cell's text, and made anew where nobody does."""
    load_method("protonet")
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    file = f"<ipython-input-{with_source}>"
    if with_source:
        lines = NOTEBOOK.splitlines(keepends=True)
        monkeypatch.setitem(linecache.cache, file, (len(NOTEBOOK), None, lines, file))
    try:
        exec(compile(NOTEBOOK, file, "exec"), vars(sys.modules["__main__"]))  # noqa: S102
        for _ in range(2):
            mine = load_method("from-a-cell")
            assert len(evaluate(mine, load_bank("default", 3), out=tmp_path).rows) == 15
    finally:
        REGISTRY.pop("from-a-cell", None)
    said = capsys.readouterr().err
    assert said.count("from-a-cell is not reusable") == (0 if with_source else 2)
    assert said.count("from-a-cell on default: 3 of 3") == (1 if with_source else 2)
