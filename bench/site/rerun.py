"""Evaluating episodes of a submission again, to see whether the method answers as its rows say."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from bench.features.backbones import backbones, load_backbone
from bench.features.preprocessing import with_preprocessing_of
from bench.features.text import text_source
from bench.machine.progress import Reporter
from bench.method import ConfiguredMethod, find
from bench.running.execute import execute
from bench.running.plan import Plan
from bench.runs.directory import read_run
from bench.runs.run import Run
from bench.runs.schema import FeatureIdentity
from bench.site.submission import Submission
from bench.weights.assignment import SHIPPED, UNTRAINED, MethodWithWeights, with_weights
from episodes.errors import UserError, unknown
from episodes.schema import plain

MAY_DIFFER = 0.01
"""Fraction of the queries: near ties may be broken differently on another machine."""
CODE = ("revision", "settings", "form", "source_sha256", "features", "harness")
"""Parts of a run's identity that may have changed since without changing a number."""
TASK = ("sees", "needs_text")
"""What a method is given, as its run declares it; tables mark easier tasks, so it must be true."""


@dataclass(frozen=True)
class Rerun:
    """The result of evaluating episodes again."""

    episodes: int
    queries: int
    differing: int
    """Number of queries that are answered differently."""
    changed: Sequence[str]
    """Parts of the run's identity that have changed since."""
    untrue: Sequence[str] = ()
    """What the run declares of its task, and the method does not."""

    @property
    def holds(self) -> bool:
        """Whether task and answers are those of the submission, except for near ties."""
        return not self.untrue and self.differing <= MAY_DIFFER * self.queries


def rerun(
    submission: Submission,
    count: int,
    seed: int,
    methods: Mapping[str, ConfiguredMethod],
    device: torch.device,
    reporter: Reporter,
    weights: str | None = None,
    backbone: str | None = None,
) -> Rerun:
    """Evaluate random episodes of a submission again and compare the answers query by query.

    Args:
        submission: a submission that has been checked.
        count: number of episodes; all if it has fewer.
        seed: seed for choosing the episodes. The submitter must not be able to guess it.
        methods: methods that may be run: the submission holds a name and no code.
        device: where to compute.
        reporter: shows progress.
        weights: a file or folder of trained weights; the shipped ones if None.
        backbone: a backbone and where its weights are; the run's backbone by name if None.

    Raises:
        UserError: method, weights, backbone or videos are missing, or the method fails.
    """
    run, bank = submission.run, submission.bank
    drawn = np.random.default_rng(seed).permutation(len(bank.episodes))[:count]
    some = bank.only(np.sort(drawn))
    features = run.identity.features or FeatureIdentity(backbone="")
    if backbone is None and features.backbone not in backbones():
        raise unknown("backbone", features.backbone, backbones())
    loaded = with_preprocessing_of(features, load_backbone(backbone or features.backbone, device))
    method = find(run.identity.method, methods)
    prompt = run.identity.text.prompt if run.identity.text else None
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            banks=[some],
            methods=[_as_submitted(run, method, weights, loaded.weights_sha256)],
            backbone=loaded,
            device=device,
            batch_size=64,
            seed=run.identity.seed or 0,
            out=Path(folder),
            text=text_source(loaded, None, prompt),
        )
        done = execute(plan, reporter)
        if done.failures:
            raise UserError(f"{method.name} failed here: {done.failures[0].reason}")
        again = read_run(done.folders[0])
    before = run.rows[run.rows["episode"].isin(some.numbers)]
    differing = before["prediction"].to_numpy() != again.rows["prediction"].to_numpy()
    changed = [key for key in CODE if getattr(again.identity, key) != getattr(run.identity, key)]
    untrue = [key for key in TASK if getattr(again.declared, key) != getattr(run.declared, key)]
    return Rerun(len(some.episodes), len(differing), int(differing.sum()), changed, untrue)


def _as_submitted(
    run: Run, method: ConfiguredMethod, weights: str | None, backbone_sha256: str
) -> MethodWithWeights:
    """The method with the run's weights, whose settings must be those of the run."""
    wanted = run.identity.weights_sha256
    source = UNTRAINED if wanted is None else weights or str(SHIPPED)
    for chosen in with_weights([method], source, backbone_sha256):
        if chosen.sha256 == wanted:
            break
    else:
        raise UserError(
            f"the weights of this run (sha256 {wanted:.12}…) are not in"
            f" {weights or 'those that come with the program'}; name their file or folder with"
            " --weights"
        )
    here, then = plain(asdict(chosen.entry.settings)), run.identity.settings
    if here != then:
        raise UserError(f"{method.name} has settings {here} here, and had {then} in this run")
    return chosen
