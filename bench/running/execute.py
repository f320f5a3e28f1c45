"""One run: banks and methods in, run directories out."""

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.features.backbones import LoadedBackbone
from bench.features.embedding import embedded_together, feature_identity
from bench.features.given import GivenFeatures
from bench.features.store import Readable, StoredFeatures
from bench.features.text import TextSource, names_of_classes, needed, text_of_videos
from bench.machine import distributed
from bench.machine.progress import Reporter
from bench.method import FeatureShape, Method
from bench.plugins.registry import source_sha256
from bench.pretrained import Pretrained
from bench.running.checkpoints import load_weights, tuned_backbone
from bench.running.containment import contained
from bench.running.loop import evaluate
from bench.runs.circumstances import circumstances
from bench.runs.directory import (
    RUNNING,
    check_may_write,
    find_failures,
    read_run,
    write_failure,
    write_run,
)
from bench.runs.run import Answers, Run, make_rows
from bench.runs.schema import Cost, Declared, Failure, FeatureIdentity, Identity
from bench.weights.assignment import MethodWithWeights
from episodes.atomic import write_text
from episodes.banks.bank import Bank, check_contents
from episodes.banks.leakage import check_apart, contamination
from episodes.banks.own_videos import own_recipe
from episodes.banks.sampler import Episodes
from episodes.decoding.readings import Readings
from episodes.draws import Integers
from episodes.errors import UserError
from episodes.schema import plain
from episodes.split import VideoFile

ASKED_FOR = ("bank_sha256", "method", "weights_sha256", "seed")
"""Parts of a run's identity that its user chose, beside what the features show: a run with others
is never replaced. What the program decides (code, decoder, videos) may change, and then the run is
made anew in its place."""

NOT_REUSABLE = (
    "note: the run of {method} is not reusable: the source of its code is not available, or has"
    " changed since it was loaded; it will be made anew"
)
READ_AT_ONCE = 256 << 20
"""Bytes of features up to which they are held in memory for all methods."""
SUMMED = 1 << 18
"""Numbers that are summed at once: they stay in the processor's caches."""
TOGETHER = 8
"""Backbones on the device at once, which share what is decoded."""


@dataclass(frozen=True)
class Plan:
    """Everything that a run does, decided in advance."""

    banks: Sequence[Bank]
    methods: Sequence[MethodWithWeights]
    backbone: LoadedBackbone
    """What embeds the videos for every method that brings no backbone of its own."""
    device: torch.device
    batch_size: int
    seed: int
    out: Path
    time_limit: float | None = None
    """Seconds that a method may take on a bank, features not counted."""
    text: TextSource | None = None
    """What the names of classes say, for methods that read them."""
    given: GivenFeatures | None = None
    """Features computed elsewhere, in place of the backbone's."""

    def bank_folder(self, bank: Bank) -> Path:
        """Return where the runs on a bank go: a folder of its own if there are several banks."""
        return self.out / bank.recipe.name if len(self.banks) > 1 else self.out

    def folder(self, bank: Bank, chosen: MethodWithWeights) -> Path:
        """Return the run directory of a method on a bank.

        Training seeds have folders of their own where there are several.
        """
        folder = self.bank_folder(bank)
        if len({one.seed for one in self.methods} - {None}) > 1 and chosen.seed is not None:
            folder /= f"seed-{chosen.seed}"
        return folder / chosen.entry.name


class Executed(NamedTuple):
    """The outcome of a plan."""

    folders: Sequence[Path]
    """Of the runs that exist."""
    failures: Sequence[Failure]
    """Methods that failed, and left no run."""


def execute(plan: Plan, reporter: Reporter) -> Executed:
    """Make every run of the plan that is not there yet.

    Finished work is reused at every stage: rendered videos, features, and runs of the same
    identity in the same place. A method that fails is noted in place of its run, and the others go
    on; in a job of several processes it ends the job, whose processes would wait for each other.

    Raises:
        UserError: what would fail for every method, such as missing videos.
    """
    _check_apart(plan)
    folders = [plan.folder(bank, one) for bank in plan.banks for one in plan.methods]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        check_may_write(folder)
    _tell_of_ended(plan, reporter)
    for bank in plan.banks:
        _run_bank(plan, bank, reporter)
    failures = [one for folder in folders for one in find_failures(folder)]
    return Executed([folder for folder in folders if (folder / "run.json").exists()], failures)


def _check_apart(plan: Plan) -> None:
    """Refuse weights that were trained on videos of a bank."""
    checkpoints = (one.checkpoint for one in plan.methods if one.checkpoint)
    for card in (one.card for one in checkpoints if one.card):
        for bank in plan.banks:
            check_apart(card.trained_on.dataset, bank.recipe.dataset)


def _tell_of_ended(plan: Plan, reporter: Reporter) -> None:
    """Name the methods that ran when the process of an earlier run ended without a word."""
    for path in sorted(plan.out.glob(f"**/{RUNNING}")) if distributed.is_first() else ():
        try:
            check_may_write(path.parent)  # where others have files, this may be one of theirs
            name = path.read_text(encoding="utf-8", errors="replace")[:200]
        except (UserError, OSError):
            continue
        reporter.say(
            f"note: {name} was running when the last run in {plan.out} ended without a word: it"
            " crashed, ended the process, or was killed; what was finished is kept. If it does so"
            " again, leave that method out"
        )
        path.unlink()


@contextmanager
def _noted(folder: Path, words: str) -> Iterator[None]:
    """Leave a note of what runs, which stays if the process ends meanwhile."""
    if distributed.is_first():
        write_text(folder / RUNNING, words)
    try:
        yield
    finally:
        if distributed.is_first():
            (folder / RUNNING).unlink(missing_ok=True)


def _may_reuse(folder: Path, identity: Identity) -> bool:
    """Whether the same run is there already, whole.

    Raises:
        UserError: a run of something else is there, which would be lost.
    """
    if not (folder / "run.json").exists():
        return False
    found = read_run(folder).identity
    then, now = (_asked_for(one) for one in (found, identity))
    for field, value in now.items():
        if then[field] != value:
            raise UserError(
                f"{folder} holds a run with {field} {then[field]}, not {value};"
                " choose another --out, or delete that run"
            )
    return found == identity and identity.source_sha256 is not None


def _asked_for(identity: Identity) -> dict[str, object]:
    """The part of a run that its user chose."""
    features = identity.features or FeatureIdentity(backbone="")
    return {field: getattr(identity, field) for field in ASKED_FOR} | {
        "backbone": features.backbone,
        "sampling": features.sampling,
        "decoder": features.reader,
        "resize": features.resized,
    }


@dataclass(frozen=True)
class Group:
    """Methods that use the same features, and are not evaluated yet."""

    sampling: str
    todo: Sequence[tuple[MethodWithWeights, Identity]]
    """With the identity of the run that each is to have."""


def _run_bank(plan: Plan, bank: Bank, reporter: Reporter) -> None:
    """Evaluate methods on one bank, those together whose videos are decoded alike."""
    files = files_of(plan, bank, reporter)
    groups = [group for group in groups_to_do(plan, bank, files) if group.todo]
    for sampling in dict.fromkeys(group.sampling for group in groups):
        same = [group for group in groups if group.sampling == sampling]
        for first in range(0, len(same), TOGETHER):
            _run_together(plan, bank, files, same[first : first + TOGETHER], reporter)
    if plan.given is not None:  # nobody has read a video
        return
    for remark in Readings(plan.backbone.decoder).remarks(files):
        reporter.say(f"note: {remark}")


def _run_together(
    plan: Plan,
    bank: Bank,
    files: Sequence[VideoFile],
    groups: Sequence[Group],
    reporter: Reporter,
) -> None:
    """Embed videos, decoded once, for each kind of features, then score."""
    if plan.given is not None:
        for group in groups:
            _run_group(plan, bank, files, group, plan.backbone, plan.given, reporter)
        return
    sampling = groups[0].sampling
    backbones = [backbone_of(plan, group.todo[0][0]) for group in groups]
    with reporter.stage(embedding(sampling)) as progress:
        stores = embedded_together(backbones, sampling, files, plan.device, progress)
    for group, loaded, store in zip(groups, backbones, stores, strict=True):
        _run_group(plan, bank, files, group, loaded, store, reporter)


def groups_to_do(plan: Plan, bank: Bank, files: Sequence[VideoFile]) -> Iterator[Group]:
    """Leave out what is there already; group the others by the features that they use."""
    for sampling, group in alike(plan):
        loaded = backbone_of(plan, group[0])
        identities = [_identity(plan, bank, one, loaded, files) for one in group]
        todo = [
            (chosen, identity)
            for chosen, identity in zip(group, identities, strict=True)
            if not distributed.agreed(_may_reuse(plan.folder(bank, chosen), identity))
        ]
        yield Group(sampling, todo)


def alike(plan: Plan) -> Iterator[tuple[str, list[MethodWithWeights]]]:
    """Put methods together that share a backbone and a rule for choosing frames."""
    together: dict[tuple[str, str | None], list[MethodWithWeights]] = {}
    for chosen in plan.methods:
        own = chosen.checkpoint.sha256 if chosen.tuned and chosen.checkpoint else None
        sampling = plan.backbone.sampling_for(chosen.entry.cls)
        together.setdefault((sampling, own), []).append(chosen)
    for (sampling, _), group in together.items():
        yield sampling, group


def _run_group(
    plan: Plan,
    bank: Bank,
    files: Sequence[VideoFile],
    group: Group,
    loaded: LoadedBackbone,
    store: Readable,
    reporter: Reporter,
) -> None:
    """Evaluate methods on features that are stored."""
    keys = _keys(plan, loaded, files)
    features, episodes = _features(store, files, keys, bank)
    sound = _sum(features)
    for chosen, _ in group.todo:
        folder, name = plan.folder(bank, chosen), chosen.entry.name
        try:
            with (
                _noted(folder, f"{name} on {bank.title}"),
                contained(name, plan.seed, plan.time_limit),
            ):
                text = _text(plan, bank, files) if chosen.entry.cls.needs_text else None
                method = _built(plan, chosen, FeatureShape(*features.shape[1:]))
                with reporter.stage(scoring(chosen, bank)) as progress:
                    answers = evaluate(
                        method, features, episodes, plan.device, plan.batch_size, progress, text
                    )
            _check_sum(name, features, sound)
        except UserError as error:
            if distributed.size() > 1:
                raise
            reporter.say(f"failed: {name} on {bank.title}: {error}")
            write_failure(folder, Failure(bank=bank.title, method=name, reason=str(error)))
            if _sum(features) != sound:
                features, episodes = _features(store, files, keys, bank)
            continue
        if distributed.is_first():
            # Which reader reads a video is known for certain only now.
            identity = _identity(plan, bank, chosen, loaded, files)
            if identity.source_sha256 is None:
                reporter.say(NOT_REUSABLE.format(method=name))
            run = _run(plan, bank, identity, chosen, method, loaded, answers, store)
            write_run(folder, run)
        distributed.wait()


def _sum(features: Tensor | StoredFeatures) -> int:
    """A checksum of features and their order; those on disk cannot change."""
    if not isinstance(features, Tensor):
        return 0
    bits = features.flatten().view(torch.int32)
    pairs = bits[: len(bits) // 2 * 2].view(torch.int64)
    weights = torch.arange(1, 2 * SUMMED, 2)  # odd: each bit counts, whatever wraps around
    total = int(bits[-1])
    for part in pairs.split(SUMMED):
        total = (total * 3 + int(torch.dot(part, weights[: len(part)]))) % 2**64
    return total


def _check_sum(method: str, features: Tensor | StoredFeatures, sound: int) -> None:
    if _sum(features) != sound:
        raise UserError(
            f"method {method} changed the features in place, past torch; the others are given them"
            " too: work on a copy"
        )


def backbone_of(plan: Plan, chosen: MethodWithWeights) -> LoadedBackbone:
    """The backbone of a method: its own where training has changed it."""
    if chosen.tuned and chosen.checkpoint is not None:
        if plan.given is not None:
            raise UserError(
                f"the weights of {chosen.entry.name} hold a backbone, which sees videos; it"
                " cannot be run on --features"
            )
        return tuned_backbone(plan.backbone, chosen.checkpoint.path, plan.device)
    return plan.backbone


def preparing(bank: Bank) -> str:
    """Title of the stage in which a bank's videos are found or made."""
    return f"prepare {bank.source.name} videos"


def embedding(sampling: str) -> str:
    """Title of the stage in which videos are decoded and embedded."""
    return f"embed {sampling}"


def scoring(chosen: MethodWithWeights, bank: Bank) -> str:
    """Title of the stage in which a method answers a bank."""
    return f"{chosen.entry.name} on {bank.recipe.name}"


def contamination_of(loaded: LoadedBackbone, bank: Bank) -> str:
    """Say what a backbone has seen of a bank's classes; empty where nothing is known."""
    if not isinstance(loaded.backbone, Pretrained):
        return ""
    return contamination(loaded.backbone.seen, bank.recipe.dataset)


def _built(plan: Plan, chosen: MethodWithWeights, shape: FeatureShape) -> Method:
    """Build a method, with its weights where it has some."""
    method = chosen.entry.build(shape, plan.seed)
    if chosen.checkpoint is not None and method.learns:
        load_weights(method, chosen.checkpoint.path)
    return method


def files_of(plan: Plan, bank: Bank, reporter: Reporter) -> list[VideoFile]:
    """The files of the videos that the bank's episodes use, or of their features if given."""
    videos = [bank.split.videos[index] for index in bank.used_videos()]
    if plan.given is not None:
        plan.given.say_extra(videos)
        return plan.given.files(videos)
    source = bank.source
    with distributed.first_alone(), reporter.stage(preparing(bank)) as progress:
        files = source.files(bank.recipe.split, videos, progress)
    check_contents(bank, files)
    return files


def _keys(plan: Plan, loaded: LoadedBackbone, files: Sequence[VideoFile]) -> list[str]:
    """Keys under which the features of each video are stored."""
    if plan.given is not None:
        return [file.sha256 for file in files]
    return list(map(Readings(loaded.decoder).key, files))


def _text(plan: Plan, bank: Bank, files: Sequence[VideoFile]) -> Tensor:
    """What the name of each video's class says, (videos, C), in the order of `_features`."""
    order = np.argsort([file.sha256 for file in files], kind="stable")
    text = needed(plan.text, "of this run")
    videos = [files[index].video for index in order]
    return text_of_videos(text, bank.source, bank.split.classes, videos)


def _features(
    store: Readable, files: Sequence[VideoFile], keys: Sequence[str], bank: Bank
) -> tuple[Tensor | StoredFeatures, Episodes]:
    """Features of the bank's videos, by their keys; and its episodes as indices into them.

    Small ones are read at once, large ones when they are encoded, for each method anew.

    The videos stand in the order of their content hashes: the canonical order goes by class, and
    a method could read the class off it.
    """
    order, episodes = in_order_of_content(
        [file.sha256 for file in files],
        bank.used_videos(),
        bank.episodes,
        len(bank.split.videos),
    )
    stored = StoredFeatures(store, [keys[index] for index in order])
    return stored if stored.nbytes > READ_AT_ONCE else stored[:], episodes


def in_order_of_content(
    hashes: Sequence[str], used: Integers, episodes: Episodes, videos: int
) -> tuple[Integers, Episodes]:
    """Order videos by the hashes of their content, and point episodes at their new places.

    Args:
        hashes: of each used video.
        used: their indices in the split, as ``episodes`` have them.
        episodes: over the split.
        videos: how many the split has.

    Returns:
        the used videos' new order, as places in ``hashes``; the episodes as indices into it.
    """
    order = np.argsort(hashes, kind="stable")
    place = np.full(videos, -1, dtype=np.int32)
    place[used[order]] = np.arange(len(used), dtype=np.int32)
    return order, Episodes(place[episodes.support], place[episodes.query], episodes.labels)


def _identity(
    plan: Plan,
    bank: Bank,
    chosen: MethodWithWeights,
    loaded: LoadedBackbone,
    files: Sequence[VideoFile],
) -> Identity:
    """Everything that decides the rows."""
    entry, checkpoint = chosen.entry, chosen.checkpoint
    videos = hashlib.sha256("\n".join(_keys(plan, loaded, files)).encode())
    if plan.given is not None:
        features = plan.given.identity()
    else:
        features = feature_identity(loaded, loaded.sampling_for(entry.cls), plan.device)
        if others := Readings(loaded.decoder).others(files):
            features = features.changed(other_decoders=others)
    identity = Identity(
        bank=bank.title,
        bank_sha256=bank.sha256,
        episodes=len(bank.episodes),
        dataset=bank.recipe.dataset,
        split=bank.recipe.split,
        protocol=bank.recipe.protocol,
        way=bank.recipe.way,
        shot=bank.recipe.shot,
        method=entry.name,
        revision=entry.cls.revision,
        settings=plain(asdict(entry.settings)),
        form=entry.form,
        source_sha256=source_sha256(entry),
        weights_sha256=checkpoint.sha256 if checkpoint else None,
        training=chosen.training,
        videos_sha256=videos.hexdigest(),
        features=features,
        seed=plan.seed,
        dtype="float32",
    )
    if not entry.cls.needs_text:
        return identity
    names = names_of_classes(bank.source, bank.split.classes)
    return identity.changed(text=needed(plan.text, entry.name).identity(names))


def _run(
    plan: Plan,
    bank: Bank,
    identity: Identity,
    chosen: MethodWithWeights,
    method: Method,
    loaded: LoadedBackbone,
    answers: Answers,
    store: Readable,
) -> Run:
    entry = chosen.entry
    declared = Declared(
        idea=inspect.cleandoc(entry.cls.__doc__ or "").partition("\n\n")[0],
        source=entry.cls.source,
        differs=entry.cls.differs,
        sees=entry.cls.sees,
        needs=entry.cls.needs,
        needs_text=entry.cls.needs_text,
        order_aware=entry.cls.order_aware,
        pretraining=entry.cls.pretraining,
        backbone_pretraining=loaded.backbone.pretraining,
        contamination=contamination_of(loaded, bank),
        trained=chosen.checkpoint is not None if method.learns or chosen.tuned else None,
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
    """Where the weights are, relative to the current folder if they are below it."""
    if chosen.checkpoint is None:
        return None
    path, here = chosen.checkpoint.path.resolve(), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
