"""Executing a plan: banks and methods in, run directories out."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.features.backbones import LoadedBackbone
from bench.features.embedding import embedded_together
from bench.features.store import Readable, StoredFeatures
from bench.features.text import indistinct, needed, text_of_videos
from bench.machine import distributed
from bench.machine.progress import Reporter
from bench.method import ConfiguredMethod, FeatureShape
from bench.running.checkpoints import load_weights, outdated
from bench.running.containment import contained
from bench.running.identity import identity_of, keys_of, may_reuse
from bench.running.loop import evaluate
from bench.running.plan import (
    Plan,
    alike,
    backbone_of,
    contamination_of,
    embedding,
    files_of,
    scoring,
)
from bench.runs.circumstances import circumstances
from bench.runs.directory import (
    RUNNING,
    check_may_write,
    find_failures,
    write_failure,
    write_run,
)
from bench.runs.run import Answers, Run, make_rows
from bench.runs.schema import Cost, Declared, Failure, Identity
from bench.weights.assignment import MethodWithWeights
from bench.weights.cards import SAME_IN_ALL_SEEDS
from episodes.atomic import write_text
from episodes.banks.bank import Bank
from episodes.banks.leakage import check_apart, check_unseen
from episodes.banks.own_videos import own_recipe
from episodes.banks.sampler import Episodes
from episodes.decoding.readings import Readings
from episodes.draws import Integers
from episodes.errors import UserError
from episodes.split import Progress, Video, VideoFile

NOT_REUSABLE = (
    "note: the run of {method} is not reusable: the source of its code is not available, has"
    " changed since it was loaded, or finds methods by name; it will be computed again"
)
READ_AT_ONCE = 256 << 20
"""Bytes of features up to which they are held in memory for all methods."""
SUMMED = 1 << 18
"""Numbers summed at once, few enough for the processor's caches."""
TOGETHER = 8
"""Backbones on the device at once, which share the decoded videos."""


Group = tuple[str, Sequence[MethodWithWeights]]
"""A sampling rule, and methods that use the same features by it."""


class Executed(NamedTuple):
    """The outcome of a plan."""

    folders: Sequence[Path]
    """Directories of the runs that exist."""
    failures: Sequence[Failure]
    """Failed methods, which left no run."""


def execute(plan: Plan, reporter: Reporter) -> Executed:
    """Execute every run of the plan that does not exist yet.

    Finished work is reused at every stage: rendered videos, features, and runs of the same
    identity in the same place. The failure of a method is recorded in place of its run, and the
    others continue; with several processes, which would wait for each other, it ends the job.

    Raises:
        UserError: every method would fail, as where videos are missing.
    """
    for card in filter(None, (one.card for one in plan.methods)):
        for bank in plan.banks:
            check_apart(card.trained_on.dataset, bank.recipe.dataset)
            check_unseen(card.trained_on.dataset, card.trained_on.split_sha256, bank)
    for remark in dict.fromkeys(map(partial(outdated, plan.backbone), plan.methods)):
        if remark:
            reporter.say(f"note: {remark}; train again if it now computes something else")
    folders = [plan.folder(bank, one) for bank in plan.banks for one in plan.methods]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        check_may_write(folder)
    _tell_of_ended(plan, reporter)
    for bank in plan.banks:
        _run_bank(plan, bank, reporter)
    failures = [one for folder in folders for one in find_failures(folder)]
    return Executed([folder for folder in folders if (folder / "run.json").exists()], failures)


def _tell_of_ended(plan: Plan, reporter: Reporter) -> None:
    """Name the methods that were running when an earlier process ended unexpectedly."""
    for path in sorted(plan.out.glob(f"**/{RUNNING}")) if distributed.is_first() else ():
        try:
            check_may_write(path.parent)  # a file of that name may belong to another program
            name = path.read_text(encoding="utf-8", errors="replace")[:200]
        except (UserError, OSError):
            continue
        reporter.say(
            f"note: {name} was running when the last command in {plan.out} ended unexpectedly: the"
            " method crashed, ended the process, or was killed; finished runs are kept. If that"
            " happens again, leave the method out"
        )
        path.unlink()


@contextmanager
def _noted(folder: Path, words: str) -> Iterator[None]:
    """Write a note of what is running, which remains if the process ends unexpectedly."""
    if distributed.is_first():
        write_text(folder / RUNNING, words)
    try:
        yield
    finally:
        if distributed.is_first():
            (folder / RUNNING).unlink(missing_ok=True)


def _run_bank(plan: Plan, bank: Bank, reporter: Reporter) -> None:
    """Evaluate the methods on one bank; videos are decoded once for several backbones."""
    files = files_of(plan, bank, reporter)
    groups = groups_to_do(plan, bank, files)
    if plan.given is not None:
        for _, methods in groups:
            _run_group(plan, bank, files, methods, plan.backbone, plan.given, reporter)
        return
    for first in range(0, len(groups), TOGETHER):
        _run_together(plan, bank, files, groups[first : first + TOGETHER], reporter)
    for remark in Readings(plan.backbone.decoder).remarks(files):
        reporter.say(f"note: {remark}")


def groups_to_do(plan: Plan, bank: Bank, files: Sequence[VideoFile]) -> list[Group]:
    """Group the methods that have no run yet by the features that they use."""
    found: list[Group] = []
    root = own_recipe(bank).get("root")
    for sampling, methods in alike(plan):
        loaded = backbone_of(plan, methods[0])
        identities = [identity_of(plan, bank, chosen, loaded, files) for chosen in methods]
        todo = [
            chosen
            for chosen, identity in zip(methods, identities, strict=True)
            if not distributed.agreed(may_reuse(plan.folder(bank, chosen), identity, root))
        ]
        if todo:
            found.append((sampling, todo))
    return found


def _run_together(
    plan: Plan,
    bank: Bank,
    files: Sequence[VideoFile],
    groups: Sequence[Group],
    reporter: Reporter,
) -> None:
    """Decode videos once for several backbones, then score; they leave the memory on return."""
    wanted = [(backbone_of(plan, methods[0]), sampling) for sampling, methods in groups]
    with reporter.stage(embedding(sampling for sampling, _ in groups)) as progress:
        stores = embedded_together(wanted, files, plan.device, progress)
    for (_, methods), (loaded, _), store in zip(groups, wanted, stores, strict=True):
        _run_group(plan, bank, files, methods, loaded, store, reporter)


def _run_group(
    plan: Plan,
    bank: Bank,
    files: Sequence[VideoFile],
    methods: Sequence[MethodWithWeights],
    loaded: LoadedBackbone,
    store: Readable,
    reporter: Reporter,
) -> None:
    """Evaluate methods on stored features.

    Small features are read at once, large ones whenever a method encodes them. The videos are in
    the order of their content hashes, since the canonical order would reveal the classes.
    """
    keys = keys_of(plan, loaded, files)
    order, episodes = in_order_of_content(
        [file.sha256 for file in files], bank.used_videos(), bank.episodes, len(bank.split.videos)
    )
    stored = StoredFeatures(store, [keys[index] for index in order])
    features: Tensor | StoredFeatures = stored if stored.nbytes > READ_AT_ONCE else stored[:]
    checksum = _sum(features)
    said: set[str] = set()
    for chosen in methods:
        method, folder = chosen.method, plan.folder(bank, chosen)
        try:
            with (
                _noted(folder, f"{method.name} on {bank.title}"),
                contained(method.name, plan.seed, plan.time_limit),
            ):
                videos = [files[index].video for index in order]
                text = _text_for(method, plan, bank, videos, said, reporter)
                with reporter.stage(scoring(chosen, bank)) as progress:
                    answers, learns = _answers(plan, chosen, features, episodes, text, progress)
            if _sum(features) != checksum:
                raise UserError(
                    f"method {method.name} changed the features in place, unnoticed by torch; the"
                    " other methods get the same ones: work on a copy"
                )
        except UserError as error:
            if distributed.size() > 1:
                raise
            reporter.say(f"failed: {method.name} on {bank.title}: {error}")
            failure = Failure(bank=bank.title, method=method.name, reason=str(error))
            write_failure(folder, failure)
            if _sum(features) != checksum:
                features = stored[:]
            continue
        if distributed.is_first():
            # Only now is it certain which reader can read each video.
            identity = identity_of(plan, bank, chosen, loaded, files)
            if identity.source_sha256 is None:
                reporter.say(NOT_REUSABLE.format(method=method.name))
            run = _run(plan, bank, identity, chosen, learns, loaded, answers, store)
            write_run(folder, run)
        distributed.wait()


def _answers(
    plan: Plan,
    chosen: MethodWithWeights,
    features: Tensor | StoredFeatures,
    episodes: Episodes,
    text: Tensor | None,
    progress: Progress,
) -> tuple[Answers, bool]:
    """Build a method and evaluate it; return whether it learns, too. It is freed on return."""
    method = chosen.method.build(FeatureShape(*features.shape[1:]), plan.seed)
    if chosen.weights is not None and (method.learns or not chosen.tuned):
        load_weights(method, chosen.weights)
    return evaluate(
        method, features, episodes, plan.device, plan.batch_size, progress, text
    ), method.learns


def _text_for(
    method: ConfiguredMethod,
    plan: Plan,
    bank: Bank,
    videos: Sequence[Video],
    said: set[str],
    reporter: Reporter,
) -> Tensor | None:
    """Text features for a method that reads names; what they cannot tell apart is said once."""
    if not method.cls.needs_text:
        return None
    source = needed(plan.text, method.name)
    remark = indistinct(source, bank.source, bank.split.classes)
    if remark is not None and remark not in said:
        said.add(remark)
        reporter.say(f"note: {bank.title}: {remark}")
    return text_of_videos(source, bank.source, bank.split.classes, videos)


def _sum(features: Tensor | StoredFeatures) -> int:
    """Return a checksum of features and their order; 0 for those on disk, which cannot change."""
    if not isinstance(features, Tensor):
        return 0
    bits = features.flatten().view(torch.int32)
    pairs = bits[: len(bits) // 2 * 2].view(torch.int64)
    weights = torch.arange(1, 2 * SUMMED, 2)  # odd: every bit counts, even when sums overflow
    total = int(bits[-1])
    for part in pairs.split(SUMMED):
        total = (total * 3 + int(torch.dot(part, weights[: len(part)]))) % 2**64
    return total


def in_order_of_content(
    hashes: Sequence[str], used: Integers, episodes: Episodes, videos: int
) -> tuple[Integers, Episodes]:
    """Order videos by their content hashes, and reindex the episodes.

    Args:
        hashes: content hash of each used video.
        used: indices of these videos in the split.
        episodes: episodes as indices into the split.
        videos: number of videos in the split.

    Returns:
        the new order, as indices into ``hashes``, and the episodes as indices into that order.
    """
    order = np.argsort(hashes, kind="stable")
    place = np.full(videos, -1, dtype=np.int32)
    place[used[order]] = np.arange(len(used), dtype=np.int32)
    return order, Episodes(place[episodes.support], place[episodes.query], episodes.labels)


def _run(
    plan: Plan,
    bank: Bank,
    identity: Identity,
    chosen: MethodWithWeights,
    learns: bool,
    loaded: LoadedBackbone,
    answers: Answers,
    store: Readable,
) -> Run:
    method, training = chosen.method, chosen.card.identity if chosen.card else None
    declared = Declared(
        idea=inspect.cleandoc(method.cls.__doc__ or "").partition("\n\n")[0],
        source=method.cls.source,
        differs=method.cls.differs,
        sees=method.cls.sees,
        needs=method.cls.needs,
        needs_text=method.cls.needs_text,
        order_aware=method.cls.order_aware,
        pretraining=method.cls.pretraining,
        backbone_pretraining=loaded.backbone.pretraining,
        contamination=contamination_of(loaded, bank),
        trained=chosen.weights is not None if learns or chosen.tuned else None,
        training_sha256=training.sha256_of(*SAME_IN_ALL_SEEDS) if training else None,
        training_recipe_sha256=training.sha256_of("recipe") if training else None,
        **own_recipe(bank),
    )
    cost = Cost(
        score_episodes_per_s=len(bank.episodes) / answers.score_seconds,
        encode_clips_per_s=len(bank.used_videos()) / answers.encode_seconds,
        embed_clips_per_s=store.clips_per_second,
        peak_memory_bytes=answers.peak_memory_bytes,
    )
    return Run(
        identity=identity,
        declared=declared,
        cost=cost,
        circumstances=circumstances(plan.device).changed(weights=_place(chosen)),
        rows=make_rows(bank.episodes, answers, bank.numbers),
    )


def _place(chosen: MethodWithWeights) -> str | None:
    """Path of the weights, relative to the current folder if they are below it."""
    if chosen.weights is None:
        return None
    path, here = chosen.weights.resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
