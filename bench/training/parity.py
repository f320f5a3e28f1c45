"""Retracing training steps of a method's authors: losses, gradients, and what three steps leave.

A reference file holds three episodes, the weights to begin with, and what the authors' code made of
them in float64, stored as float32. The method is built from the file's facts, takes the authors'
weights, and trains through the learner and the optimiser that every training here uses.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import methods.parity
from bench.method import Entry, FeatureShape
from bench.parity import load_arrays
from bench.reference import Golden, adopt, names_of
from bench.registry import built_in_methods, import_reproductions
from bench.training.learner import Learner
from bench.training.optimiser import optimiser_of, set_learning_rates
from bench.training.recipe import TrainingRecipe
from bench.training.stream import EpisodeBatch
from episodes.errors import UserError
from methods.parity.training import AUTHORS_TRAINING

Check = Literal["losses", "gradients", "trajectory", "float32 inputs", "float32 parameters"]
TOLERANCE = 1e-6
"""Relative, of a run in float64: what is left is that numbers are stored as float32."""
FLOAT32_ALLOWANCE = 10
"""In float32 the authors' own code misses its float64; so many times that is allowed."""
NOTHING = 1e-9
"""A gradient below this share of the file's largest is rounding: its true value is 0."""
STORED = 2.0**-24
"""Relative rounding of a number that is stored as float32."""
INPUTS = ("support", "query")
NEEDED = (*INPUTS, "support_labels", "query_labels", "loss/total", "lr", "optimizer")


class Miss(NamedTuple):
    """How far one quantity is off, relative to its size."""

    size: float
    where: str


@dataclass(frozen=True)
class TrainingResult:
    """What became of one check of a reference file."""

    file: str
    check: Check
    miss: float
    """Largest relative difference; not finite where something is missing or not a number."""
    allowed: float
    where: str
    """The quantity that is off by as much."""
    ok: bool = field(init=False)

    def __post_init__(self) -> None:
        """Derive ``ok``, so that `dataclasses.asdict` holds it too."""
        object.__setattr__(self, "ok", self.miss <= self.allowed)


def check_training(path: Path) -> list[TrainingResult]:
    """Retrace the steps of a reference file, in float64 and, for the gradients, in float32.

    Raises:
        UserError: the file cannot be read, is none of training steps, its name says no method, or
            it lacks something that this method needs.
    """
    import_reproductions()
    arrays = load_arrays(path)
    if missing := [key for key in NEEDED if key not in arrays]:
        raise UserError(
            f"{path} holds no {', '.join(missing)}; a reference file of training steps has"
            f" {', '.join(NEEDED)} (tests/golden-training/README.md)"
        )
    entry = _method_of(path)
    try:
        steps, single = (
            _Steps(Golden(arrays), entry, dtype) for dtype in (torch.float64, torch.float32)
        )
        gradients = [*steps.input_misses(), *steps.parameter_misses()]
        inputs, parameters = (FLOAT32_ALLOWANCE * one for one in _authors_float32(path, entry))
        checks: list[tuple[Check, list[Miss], float]] = [
            ("losses", steps.loss_misses(), TOLERANCE),
            ("gradients", gradients, TOLERANCE),
            ("trajectory", steps.trajectory_misses(), TOLERANCE),
            ("float32 inputs", single.input_misses(), inputs),
            ("float32 parameters", single.parameter_misses(), parameters),
        ]
    except (LookupError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} cannot be retraced with {entry.name}: {error!r}") from error
    results = []
    for check, misses, allowed in checks:
        if misses:  # A method without parameters has no gradients of them.
            # A number that is not one is the worst of all.
            worst = max(misses, key=lambda miss: (not np.isfinite(miss.size), miss.size))
            results.append(TrainingResult(str(path), check, worst.size, allowed, worst.where))
    return results


def _method_of(path: Path) -> Entry:
    """Return the method, or variant, that a file is named after: the longest name in its own."""
    entries = built_in_methods().values()
    known = {entry.name: entry for entry in entries if entry.cls.name in AUTHORS_TRAINING}
    found = [name for name in known if name in path.stem]
    if not found:
        raise UserError(
            f"{path}: its name says no method whose training can be retraced; it holds one of"
            f" {', '.join(known)}, as in mastaf-nores_5w1s.npz"
        )
    return known[max(found, key=len)]


def _authors_float32(path: Path, entry: Entry) -> tuple[float, float]:
    """How far the authors' own float32 is off, in the gradients of inputs and of parameters.

    For a file that is not in the table: the most of those of the same method.
    """
    table = Path(methods.parity.__path__[0]) / "float32.csv"
    with table.open(encoding="utf-8", newline="") as lines:
        rows = {row["file"]: row for row in csv.DictReader(lines)}
    own = [row for name, row in rows.items() if name.startswith(entry.cls.name)]
    chosen = [rows[path.stem]] if path.stem in rows else own
    inputs, parameters = (
        max(float(row[column]) for row in chosen) for column in ("inputs", "parameters")
    )
    return inputs, parameters


class _Episode(NamedTuple):
    """An episode, or several, as stored and as a learner takes it."""

    inputs: Mapping[str, Tensor]
    """"support" and "query" as stored, which gradients flow into."""
    maps: Tensor
    """(videos, C, T, H, W) in the order of ``batch.videos``."""
    batch: EpisodeBatch


class _Steps:
    """Our three steps, with what they leave of everything that the file holds."""

    def __init__(self, golden: Golden, entry: Entry, dtype: torch.dtype) -> None:
        """Take the steps."""
        self.golden, self.dtype = golden, dtype
        self.authors = AUTHORS_TRAINING[entry.cls.name]
        first = self._episode("")
        settings = replace(entry.settings, **self.authors.settings(golden))
        entry = replace(entry, settings=settings)
        method = adopt(
            entry.build(FeatureShape(*first.maps.shape[1:]), 0), golden.weights("weight/")
        )
        names = names_of(method)
        # The authors' names leave out how many batches a batch norm has seen.
        names = {**names, **{_count(theirs): _count(ours) for theirs, ours in names.items()}}
        held = method.state_dict().keys() & set(names.values())
        self.names = {theirs: ours for theirs, ours in names.items() if ours in held}
        recipe = _recipe(golden, self.names, self.authors.sums_over_queries)
        self.learner = Learner(method, None, 0, recipe).to(dtype).train()
        _without_dropout(self.learner)
        optimiser = optimiser_of(self.learner, recipe) if method.learns else None
        self.terms: list[dict[str, float]] = []
        self.gradients: dict[str, Tensor] = {}
        for prefix in ("", "step1/", "step2/"):
            episode = self._episode(prefix)
            self.learner.zero_grad()
            terms = self.learner(episode.maps, episode.batch)
            torch.stack(list(terms.values())).sum().backward()
            self.terms.append({name: float(term.detach()) for name, term in terms.items()})
            self._keep_gradients(prefix, episode)
            if optimiser is not None:
                set_learning_rates(optimiser, 1.0)
                optimiser.step()

    def loss_misses(self) -> list[Miss]:
        """Terms of the first episode, and their sum."""
        return self._loss_misses("", 0)

    def input_misses(self) -> list[Miss]:
        """Gradients of the first episode's videos."""
        return self._gradient_misses("grad/support", "grad/query")

    def parameter_misses(self) -> list[Miss]:
        """Gradients of the first episode, of every parameter that the file names."""
        given = [
            key for key in self.golden.arrays if key.startswith(("grad/", "grad_")) if "/" in key
        ]
        return self._gradient_misses(*(key for key in given if key.split("/")[1] not in INPUTS))

    def trajectory_misses(self) -> list[Miss]:
        """Losses and gradients of the later episodes, and the state after the last."""
        later = [f"step{step}/grad/{key}" for step in (1, 2) for key in INPUTS]
        misses = self._gradient_misses(*(key for key in later if key in self.golden))
        for step in (1, 2):
            misses += self._loss_misses(f"step{step}/", step)
        state = self.learner.method.state_dict()
        for theirs, ours in self.names.items():
            misses += self._state_misses(theirs, state[ours])
        return misses

    def _episode(self, prefix: str) -> _Episode:
        golden, authors = self.golden, self.authors
        inputs = {
            key: golden.tensor(prefix + key).to(self.dtype).requires_grad_() for key in INPUTS
        }
        support_labels, query_labels = (
            torch.atleast_2d(golden.tensor(f"{prefix}{key}_labels")) for key in INPUTS
        )
        count, supports = support_labels.shape
        queries, way = query_labels.shape[1], int(support_labels.max()) + 1
        by_class = support_labels.argsort(dim=1, stable=True)
        support = inputs["support"].reshape(
            count, supports, *inputs["support"].shape[-len(authors.axes) :]
        )
        query = inputs["query"].reshape(count * queries, *support.shape[2:])
        sorted_support = support[torch.arange(count)[:, None], by_class].flatten(0, 1)
        maps = _as_maps(torch.cat([sorted_support, query]), authors.axes)
        key = f"{prefix}way_classes"
        classes = golden.tensor(key) if key in golden else torch.arange(way)
        batch = EpisodeBatch(
            torch.arange(count * supports).reshape(count, way, -1),
            torch.arange(count * queries).reshape(count, queries),
            query_labels,
            torch.atleast_2d(classes),
        )
        return _Episode(inputs, maps, batch)

    def _keep_gradients(self, prefix: str, episode: _Episode) -> None:
        for key, videos in episode.inputs.items():
            self.gradients[f"{prefix}grad/{key}"] = _gradient(videos)
        if prefix:
            return
        parameters = dict(self.learner.method.named_parameters())
        for theirs, ours in self.names.items():
            if ours in parameters:
                shape = self.golden.tensor(f"weight/{theirs}").shape
                gradient = _gradient(parameters[ours]).reshape(shape)
                self.gradients |= _summarised("grad", theirs, gradient)

    def _loss_misses(self, prefix: str, step: int) -> list[Miss]:
        expected: dict[str, float] = {}
        for theirs, (ours, factor) in self.authors.terms.items():
            if f"{prefix}loss/{theirs}" in self.golden:
                weight = self.golden.number(factor) if factor else 1.0
                value = weight * self.golden.number(f"{prefix}loss/{theirs}")
                expected[ours] = expected.get(ours, 0.0) + value
        found = self.terms[step]
        misses = [
            _miss(f"{prefix}loss/{name}", found.get(name), expected.get(name, 0.0))
            for name in sorted(found.keys() | expected.keys())
        ]
        total = self.golden.number(f"{prefix}loss/total")
        return [*misses, _miss(f"{prefix}loss/total", sum(found.values()), total)]

    def _gradient_misses(self, *keys: str) -> list[Miss]:
        stored = {key: self.golden.tensor(key).double() for key in keys}
        largest = max((float(one.abs().max()) for one in stored.values()), default=0.0)
        absent = {str(name) for name in np.atleast_1d(self.golden.arrays.get("grad_absent", []))}
        misses = []
        for key, theirs in stored.items():
            ours = self.gradients.get(key)
            if ours is None and key.split("/", maxsplit=1)[1] in absent:
                continue  # Neither the authors' graph nor ours reaches it: we have no such part.
            size = float(theirs.abs().max())
            # Of a gradient that is truly 0, only rounding is stored: it is held against the rest.
            scale = size if size > NOTHING * largest else largest
            misses.append(_tensor_miss(key, ours, theirs, scale))
        return misses

    def _state_misses(self, theirs: str, ours: Tensor) -> Iterator[Miss]:
        """Changes since the beginning, as far as stored numbers can show them."""
        start = self.golden.tensor(f"weight/{theirs}").double()
        changes = _summarised("after_change", theirs, ours.double().reshape(start.shape) - start)
        if (key := f"after/{theirs}") in self.golden:
            after = self.golden.tensor(key).double()
            change = changes[f"after_change/{theirs}"]
            beyond = (start + change - after).abs() - STORED * after.abs()
            largest = float((after - start).abs().max()) or float(after.abs().max()) or 1.0
            yield Miss(float(beyond.clamp(min=0).max()) / largest, key)
        for key, change in changes.items():
            if key in self.golden:
                stored = self.golden.tensor(key).double()
                yield _tensor_miss(key, change, stored, float(stored.abs().max()))


def _recipe(golden: Golden, names: Mapping[str, str], sum_over_queries: bool) -> TrainingRecipe:
    """The optimiser of a file, as a recipe of this project states it."""
    spared = [str(name) for name in np.atleast_1d(golden.arrays.get("without_weight_decay", []))]
    return TrainingRecipe(
        name="reference file",
        optimiser="adam" if str(golden.arrays["optimizer"]).startswith("Adam") else "sgd",
        learning_rate=golden.number("lr"),
        backbone_learning_rate=0.0,
        momentum=golden.number("momentum") if "momentum" in golden else 0.0,
        nesterov=bool(golden.arrays.get("nesterov", False)),
        weight_decay=golden.number("weight_decay"),
        without_weight_decay=tuple(f"method.{names[name]}" for name in spared),
        sum_over_queries=sum_over_queries,
        steps=3,
        episodes_per_step=1,
        episodes_at_once=1,
        queries=1,
        protocol="standard",
        validate_every=3,
        validation_episodes=1,
    )


def _count(name: str) -> str:
    """The name of a batch norm's count, if this is that of its mean."""
    return name.replace("running_mean", "num_batches_tracked")


def _without_dropout(module: nn.Module) -> None:
    for one in module.modules():
        if isinstance(one, nn.modules.dropout._DropoutNd):
            one.p = 0.0


def _as_maps(videos: Tensor, axes: str) -> Tensor:
    """(videos, the stored axes) -> (videos, C, T, H, W), 1 for an axis that is not stored."""
    size = dict(zip(axes, videos.shape[1:], strict=True))
    order = [1 + axes.index(axis) for axis in "CTHW" if axis in axes]
    return videos.permute(0, *order).reshape(-1, *(size.get(axis, 1) for axis in "CTHW"))


def _gradient(tensor: Tensor) -> Tensor:
    """Zeros where no loss reaches it."""
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad.clone()


def _summarised(prefix: str, name: str, values: Tensor) -> dict[str, Tensor]:
    """Values under the keys of a file, whole and in the summaries that large ones are stored as."""
    found = {f"{prefix}/{name}": values, f"{prefix}_norm/{name}": values.norm()}
    if values.ndim > 1:
        found |= {f"{prefix}_sum{dim}/{name}": values.sum(dim=dim) for dim in (0, 1)}
    return found


def _miss(where: str, ours: float | None, theirs: float) -> Miss:
    if ours is None:
        return Miss(float("inf"), f"{where}, which our loss does not have")
    return Miss(abs(ours - theirs) / (abs(theirs) or 1.0), where)


def _tensor_miss(where: str, ours: Tensor | None, theirs: Tensor, scale: float) -> Miss:
    if ours is None:
        return Miss(float("inf"), f"{where}, which nothing of ours corresponds to")
    return Miss(float((ours.double() - theirs).abs().max()) / (scale or 1.0), where)
