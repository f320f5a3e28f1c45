"""Some episodes of a submission, evaluated anew: does the method answer as its rows say?"""

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
from bench.running.execute import Plan, execute
from bench.runs.directory import read_run
from bench.runs.run import Run
from bench.runs.schema import FeatureIdentity
from bench.site.submission import Submission
from bench.weights.assignment import SHIPPED, UNTRAINED, MethodWithWeights, with_weights
from episodes.errors import UserError, unknown
from episodes.schema import plain

MAY_DIFFER = 0.01
"""Of the queries that are answered anew: near ties may fall differently on another machine."""
CODE = ("revision", "settings", "form", "source_sha256", "features")
"""What of a run's identity may have changed since without a number changing."""


@dataclass(frozen=True)
class Rerun:
    """What came out of evaluating episodes anew."""

    episodes: int
    queries: int
    differing: int
    """Queries that are answered differently."""
    changed: Sequence[str]
    """What of the run's identity is not as it was."""

    @property
    def holds(self) -> bool:
        """Whether the answers are those of the submission, apart from near ties."""
        return self.differing <= MAY_DIFFER * self.queries


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
    """Evaluate some episodes of a submission anew and compare the answers, query by query.

    Args:
        submission: that was checked.
        count: how many episodes; all if it has fewer.
        seed: of the choice of episodes. The submitter must not be able to guess it.
        methods: what may be run: the submission brings a name and no code.
        device: where to compute.
        reporter: told of the progress.
        weights: a file or folder of trained weights; those that come with the program if None.
        backbone: name and place of a backbone's weights; the run's backbone by name if None.

    Raises:
        UserError: method, weights, backbone or videos are not here, or the method fails.
    """
    run, bank = submission.run, submission.bank
    places = np.random.default_rng(seed).permutation(len(bank.episodes))[:count]
    some = bank.only(np.sort(places))
    features = run.identity.features or FeatureIdentity(backbone="")
    name = features.backbone
    if backbone is None and name not in backbones():
        raise unknown("backbone", name, backbones())
    loaded = with_preprocessing_of(features, load_backbone(backbone or name, device))
    entry = find(run.identity.method, methods)
    prompt = run.identity.text.prompt if run.identity.text else None
    text = text_source(loaded.backbone, loaded.weights_sha256, None, prompt)
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            banks=[some],
            methods=[_as_submitted(run, entry, weights, loaded.weights_sha256)],
            backbone=loaded,
            device=device,
            batch_size=64,
            seed=run.identity.seed or 0,
            out=Path(folder),
            text=text,
        )
        done = execute(plan, reporter)
        if done.failures:
            raise UserError(f"{entry.name} failed here: {done.failures[0].reason}")
        again = read_run(done.folders[0])
    before = run.rows[run.rows["episode"].isin(some.numbers)]
    differing = before["prediction"].to_numpy() != again.rows["prediction"].to_numpy()
    changed = [key for key in CODE if getattr(again.identity, key) != getattr(run.identity, key)]
    return Rerun(len(some.episodes), len(differing), int(differing.sum()), changed)


def _as_submitted(
    run: Run, entry: ConfiguredMethod, weights: str | None, backbone_sha256: str
) -> MethodWithWeights:
    """The method with the run's weights and settings."""
    wanted = run.identity.weights_sha256
    if wanted is None:
        (chosen,) = with_weights([entry], UNTRAINED, backbone_sha256)
    else:
        found = with_weights([entry], weights or str(SHIPPED), backbone_sha256)
        fitting = [one for one in found if one.checkpoint and one.checkpoint.sha256 == wanted]
        if not fitting:
            raise UserError(
                f"the weights of this run (sha256 {wanted:.12}…) are not in"
                f" {weights or 'those that come with the program'}; name their file or folder with"
                " --weights"
            )
        chosen = fitting[0]
    here, then = plain(asdict(chosen.entry.settings)), run.identity.settings
    if here != then:
        raise UserError(f"{entry.name} has settings {here} here, and had {then} in this run")
    return chosen
