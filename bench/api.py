"""Use from Python and notebooks: banks, methods, rows as a table, charts, the report.

>>> from bench import evaluate, load_bank, load_method
>>> bank = load_bank("default", episodes=4)
>>> results = evaluate([load_method("protonet"), load_method("otam")], bank)
>>> results.rows[["method", "episode", "query", "label", "prediction"]].head(2)
     method  episode  query  label  prediction
0  protonet        0      0      1           1
1  protonet        0      1      3           3
>>> chart = results.figure("accuracy")
"""

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bench.commands.arguments import shortened
from bench.commands.options import at_home
from bench.comparison.frame import Comparison
from bench.comparison.gate import assert_not_worse
from bench.comparison.row import flat
from bench.comparison.summary import compare_on_one_bank
from bench.features.backbones import backbone_or_features
from bench.features.text import check_read, text_source
from bench.machine.device import choose_device
from bench.machine.progress import Reporter
from bench.method import ConfiguredMethod, find
from bench.plugins.registry import all_methods, check_unchanged
from bench.report.charts.catalogue import draw
from bench.report.charts.style import rendered, save_figure
from bench.report.page import write_report
from bench.running.execute import execute
from bench.running.plan import Plan, without_missing
from bench.runs.directory import read_run
from bench.runs.run import Run
from bench.weights.assignment import with_weights
from episodes.banks.bank import Bank, open_bank
from episodes.banks.own_videos import bank_over_folder
from episodes.errors import UserError

__all__ = [
    "Chart",
    "ConfiguredMethod",
    "Results",
    "assert_not_worse",
    "evaluate",
    "load_bank",
    "load_method",
]

_ALONE = threading.RLock()
"""Held while methods run: the process's random generators, output and state are theirs then."""


@dataclass(frozen=True)
class Chart:
    """A chart, which a notebook displays."""

    figure: Figure

    def save(self, path: str | Path) -> None:
        """Write the chart to a file, in the format of the suffix: .png, .svg or .pdf."""
        save_figure(self.figure, Path(path))

    def _repr_svg_(self) -> str:
        return rendered(self.figure, format="svg").decode()


@dataclass(frozen=True)
class Results:
    """The answers of methods on a bank."""

    runs: Sequence[Run]
    bank: Bank = field(repr=False)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row for each query: method, training seed, episode, query, label, ...

        ``label`` and ``prediction`` are indices of the episode's classes, 0..way-1; ``margin`` is
        the best score minus the second best; ``right`` says whether the prediction is the label.
        """
        tables = [
            run.rows.assign(
                method=run.identity.method,
                training_seed=run.identity.training.seed if run.identity.training else None,
                right=run.rows["label"] == run.rows["prediction"],
            )
            for run in self.runs
        ]
        first = ["method", "training_seed"]
        table = pd.concat(tables, ignore_index=True)
        return table[[*first, *table.columns.drop(first)]]

    @cached_property
    def comparison(self) -> Comparison:
        """Accuracies and paired differences with their intervals."""
        return compare_on_one_bank(self.runs, None, [self.bank])

    @property
    def table(self) -> pd.DataFrame:
        """The comparison, a row for each method, best first; accuracies are fractions.

        Columns as in ``fvbench tables --format csv``.
        """
        return pd.DataFrame([flat(row) for row in self.comparison.rows])

    def figure(self, chart: str = "accuracy") -> Chart:
        """Draw a chart, one of those that ``fvbench list charts`` lists.

        Raises:
            UserError: no such chart.
        """
        return Chart(draw(chart, [self.comparison]))

    def report(self, path: str | Path) -> None:
        """Write the report of `fvbench report`."""
        write_report(Path(path), [self.comparison], Reporter())

    def _repr_html_(self) -> str:
        return self.comparison._repr_html_()


def load_bank(name_or_path: str | Path, episodes: int | None = None) -> Bank:
    """Open a bank, and verify its episodes against its recipe.

    Args:
        name_or_path: a bank's name, the path of a recipe, or a folder of ``class/video`` files.
        episodes: number of episodes, from the first; as many as the recipe states if None.

    Raises:
        UserError: there is no such bank, or its episodes are not those of its recipe.

    >>> load_bank("default").recipe.episodes
    10000
    """
    episodes = shortened(None if episodes is None else _whole("episodes", episodes, 1))
    name = at_home(str(name_or_path))
    if Path(name).is_dir():
        return bank_over_folder(Path(name), episodes)
    return open_bank(name, episodes)


def load_method(
    name: str, *, plugin: str | Path | None = None, plain: bool = False
) -> ConfiguredMethod:
    """Find a method by its name.

    Args:
        name: a name in `fvbench list methods`, or of a class that was just registered.
        plugin: a file or folder with further methods.
        plain: whether to do without the method's faster form, if it has one.

    Raises:
        UserError: there is no such method, with similar names in the message, or its file has
            changed since this process loaded it.

    >>> load_method("otam").settings.temperature
    0.1
    """
    file = _place(plugin)
    with _ALONE:
        method = find(name, all_methods([] if file is None else [file]))
        check_unchanged(method)
    return method.plain if plain else method


def evaluate(
    methods: ConfiguredMethod | Sequence[ConfiguredMethod],
    bank: Bank,
    *,
    weights: str | Path | None = None,
    backbone: str | None = None,
    sampling: str | None = None,
    resize: str | None = None,
    decoder: str | None = None,
    features: str | Path | None = None,
    text: str | Path | None = None,
    prompt: str | None = None,
    allow_missing: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    seed: int = 0,
    out: str | Path | None = None,
) -> Results:
    """Score every query of a bank with some methods, as `fvbench run` does.

    Args:
        methods: one or several methods from `load_method`, each once and in one form.
        bank: a bank from `load_bank`.
        weights: trained weights: a file, for a single method, or a folder written by `fvbench
            train`; "none" for random weights; the shipped ones if None.
        backbone: name of the backbone that computes the features; "motion" if None.
        sampling: how frames are sampled, such as "linspace" or "3 x linspace"; the methods'
            default if None.
        resize: picture size before the centre crop, "256" or "256x256"; the backbone's if None.
        decoder: video reader, "decord" or "av"; decord if it is installed if None.
        features: folder or table of features computed elsewhere, in place of a backbone, see
            `bench.features.given`.
        text: file with text features of class names, for methods that read them; those of the
            backbone's text tower if None.
        prompt: prompt template for class names; that of the text tower if None.
        allow_missing: whether to drop every episode that contains a missing or damaged video,
            instead of refusing the bank; `Results.bank` has the others.
        device: cpu, cuda, cuda:N, or auto for a GPU if there is one.
        batch_size: episodes scored at once; changes speed, not results.
        seed: seed of the methods' random weights and guesses.
        out: folder for the run directories; they are not kept if None.

    Raises:
        UserError: videos are missing, a method is named twice or breaks its contract, or there is
            none.
    """
    chosen = [methods] if isinstance(methods, ConfiguredMethod) else list(methods)
    if not isinstance(bank, Bank) or not all(isinstance(one, ConfiguredMethod) for one in chosen):
        raise UserError(
            "evaluate() takes methods of load_method() and a bank of load_bank(), not their names"
        )
    names = [one.name for one in chosen]
    if not names or len(set(names)) < len(names):  # one would take the place of the other's run
        raise UserError(
            f"evaluate() is given {', '.join(names) or 'no method'}; it takes at least one, and"
            " each once: evaluate two forms of a method in two calls"
        )
    of_videos = {
        "backbone": backbone,
        "sampling": sampling,
        "resize": resize,
        "decoder": decoder,
        "allow_missing": allow_missing,
    }
    if features is not None and (beside := [name for name, value in of_videos.items() if value]):
        raise UserError(f"{', '.join(beside)}: for videos, which features replace; leave it out")
    batch_size, seed = _whole("batch_size", batch_size, 1), _whole("seed", seed, 0)
    where = choose_device(device)
    loaded, given = backbone_or_features(
        backbone or "motion", _place(features), where, sampling, resize, decoder
    )
    check_read(chosen, text, prompt)
    source = text_source(loaded, _place(text), prompt)
    weights = None if weights is None else str(_place(weights))
    weighted = with_weights(chosen, weights, loaded.weights_sha256)
    if allow_missing:
        bank = without_missing(bank, Reporter())
    with _ALONE, tempfile.TemporaryDirectory() as temporary:
        folder = _place(out) or Path(temporary)
        plan = Plan(
            [bank], weighted, loaded, where, batch_size, seed, folder, text=source, given=given
        )
        folders, failures = execute(plan, Reporter())
        if failures:
            raise UserError("\n".join(f"{failure.bank}: {failure.reason}" for failure in failures))
        runs = [read_run(path) for path in folders]
    return Results(runs, bank)


def _whole(name: str, value: int, least: int) -> int:
    """Return a whole number of Python or numpy, which takes at most 63 bits, as a Python one."""
    if not isinstance(value, Integral) or not least <= value < 2**63:
        raise UserError(f"{name} is {value!r}; it is a whole number from {least} to 2^63 - 1")
    return int(value)


def _place(path: str | Path | None) -> Path | None:
    return None if path is None else Path(at_home(str(path)))
