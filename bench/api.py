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
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from bench.commands.arguments import shortened
from bench.comparison.frame import Comparison
from bench.comparison.gate import assert_not_worse
from bench.comparison.row import flat
from bench.comparison.summary import compare_on_one_bank
from bench.features.given import backbone_or_features
from bench.features.text import text_source
from bench.machine.device import choose_device
from bench.machine.progress import Reporter
from bench.method import ConfiguredMethod, find
from bench.plugins.registry import all_methods
from bench.report.charts.catalogue import draw
from bench.report.charts.style import save_figure
from bench.report.page import write_report
from bench.running.execute import Plan, execute
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


@dataclass(frozen=True)
class Chart:
    """A chart that a notebook shows by itself."""

    figure: Figure

    def save(self, path: str | Path) -> None:
        """Write it to a file; the suffix (.png, .svg, .pdf) says in which format."""
        save_figure(self.figure, Path(path))

    def _repr_svg_(self) -> str:
        with StringIO() as file:
            self.figure.savefig(file, format="svg")
            return file.getvalue()


@dataclass(frozen=True)
class Results:
    """What methods answered on a bank."""

    runs: Sequence[Run]
    bank: Bank = field(repr=False)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row for each query: method, seed of its training, episode, query, label, ...

        ``label`` and ``prediction`` are places among the classes of the episode, 0..way-1;
        ``margin`` is the best score minus the second best; ``right`` whether both agree.
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
        """Accuracies with their intervals, and paired differences."""
        return compare_on_one_bank(self.runs, None, [self.bank])

    @property
    def table(self) -> pd.DataFrame:
        """The comparison, a row for each method, best first; accuracies are fractions.

        Columns as in ``fvbench tables --format csv``.
        """
        return pd.DataFrame([flat(row) for row in self.comparison.rows])

    def figure(self, chart: str = "accuracy") -> Chart:
        """Draw a chart: accuracy, differences, speed, classes or confusions.

        Raises:
            UserError: no such chart.
        """
        return Chart(draw(chart, [self.comparison]))

    def report(self, path: str | Path) -> None:
        """Write the report, as `fvbench report` does."""
        write_report(Path(path), [self.comparison], Reporter())

    def _repr_html_(self) -> str:
        return self.comparison._repr_html_()


def load_bank(name_or_path: str | Path, episodes: int | None = None) -> Bank:
    """Open a bank, and verify that it is the one its recipe states.

    Args:
        name_or_path: a bank's name, the path of a recipe, or a folder of ``class/video`` files.
        episodes: how many episodes, from the first; as many as the bank states if None.

    Raises:
        UserError: no such bank, or one whose episodes are not those its recipe states.

    >>> load_bank("default").recipe.episodes
    10000
    """
    asked = shortened(episodes)
    if Path(name_or_path).is_dir():
        return bank_over_folder(Path(name_or_path), asked)
    return open_bank(str(name_or_path), asked)


def load_method(
    name: str, *, plugin: str | Path | None = None, plain: bool = False
) -> ConfiguredMethod:
    """Find a method by its name.

    Args:
        name: as `fvbench list methods` has it, or of a class that was just registered.
        plugin: a file or folder with further methods.
        plain: whether to leave out its quicker form, where it has one.

    Raises:
        UserError: there is none; the message names the nearest.

    >>> load_method("otam").settings.temperature
    0.1
    """
    known = all_methods([Path(plugin)] if plugin is not None else [])
    method = find(name, known)
    return method.plain if plain else method


def evaluate(
    methods: ConfiguredMethod | Sequence[ConfiguredMethod],
    bank: Bank,
    *,
    weights: str | Path | None = None,
    backbone: str = "motion",
    sampling: str | None = None,
    resize: str | None = None,
    decoder: str | None = None,
    features: str | Path | None = None,
    text: str | Path | None = None,
    prompt: str | None = None,
    device: str = "auto",
    batch_size: int = 64,
    seed: int = 0,
    out: str | Path | None = None,
) -> Results:
    """Score every query of a bank with some methods, as `fvbench run` does.

    Args:
        methods: what `load_method` gave, one or several.
        bank: what `load_bank` gave.
        weights: trained weights: a file, for a single method, or a folder as `fvbench train` writes
            it; "none" for random ones; those that come with the program if None.
        backbone: what makes the features.
        sampling: frames of a clip, such as "linspace" or "3 x linspace"; None for what methods ask
            for.
        resize: size of pictures before the centre is cut out, "256" or "256x256"; None for what
            the backbone states.
        decoder: what reads video files, "decord" or "av"; decord where it is installed if None.
        features: folder or table with features that were computed elsewhere, in place of a
            backbone, see `bench.features.given`.
        text: file with text features of the classes' names, for methods that read them; those of
            the backbone's text tower if None.
        prompt: the template that a text tower reads names in; its own if None.
        device: cpu, cuda, cuda:N, or auto for a GPU if there is one.
        batch_size: episodes scored at once; it changes speed, not results.
        seed: of the methods' random weights and guesses.
        out: folder in which run directories are kept; nowhere if None.

    Raises:
        UserError: videos are missing, or a method does not keep its contract.
    """
    chosen = [methods] if isinstance(methods, ConfiguredMethod) else list(methods)
    where = choose_device(device)
    place = None if features is None else Path(features)
    loaded, given = backbone_or_features(backbone, place, where, sampling, resize, decoder)
    file = None if text is None else Path(text)
    source = text_source(loaded.backbone, loaded.weights_sha256, file, prompt)
    which = None if weights is None else str(weights)
    found = with_weights(chosen, which, loaded.weights_sha256)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(out) if out is not None else Path(temporary)
        plan = Plan(
            [bank], found, loaded, where, batch_size, seed, folder, text=source, given=given
        )
        folders, failures = execute(plan, Reporter())
        if failures:
            raise UserError("\n".join(f"{one.bank}: {one.reason}" for one in failures))
        runs = [read_run(path) for path in folders]
    return Results(runs, bank)
