"""The identity of a run, which is all that determines its rows: equal ones are reused."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.features.backbones import LoadedBackbone
from bench.features.embedding import feature_identity
from bench.features.text import names_of_classes, needed
from bench.plugins.registry import source_sha256
from bench.running.plan import Plan
from bench.runs.directory import read_run
from bench.runs.schema import FeatureIdentity, Identity
from bench.weights.assignment import MethodWithWeights
from episodes.banks.bank import Bank
from episodes.decoding.readings import Readings
from episodes.errors import UserError
from episodes.schema import plain
from episodes.split import VideoFile

HARNESS = 1
"""Revision of what this program itself computes between features and answers: the gathering of
episodes, the mean over the shots of a `bench.method.PairMethod`, the choice of the best score. A
method's hash covers its own code alone, so a change here that can change an answer raises this."""
ASKED_FOR = ("bank_sha256", "method", "form", "weights_sha256", "seed")
"""Parts of a run's identity that the user chose, besides features: a run that differs in them is
never replaced. If what the program determines has changed (code, decoder, videos), the run is
computed again in its place. The kind of device counts as chosen, even by ``auto``: a machine that
has lost its GPU would replace its runs by slower ones."""


def identity_of(
    plan: Plan,
    bank: Bank,
    chosen: MethodWithWeights,
    loaded: LoadedBackbone,
    files: Sequence[VideoFile],
) -> Identity:
    """Return all that determines the rows of a method on a bank, whose videos are the files."""
    method = chosen.method
    videos = hashlib.sha256("\n".join(keys_of(plan, loaded, files)).encode())
    if plan.given is not None:
        features = plan.given.identity()
    else:
        features = feature_identity(loaded, loaded.sampling_for(method.cls), plan.device)
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
        method=method.name,
        revision=method.cls.revision,
        settings=plain(asdict(method.settings)),
        form=method.form,
        source_sha256=source_sha256(method),
        weights_sha256=chosen.sha256,
        training=chosen.training,
        videos_sha256=videos.hexdigest(),
        features=features,
        seed=plan.seed,
        dtype="float32",
    )
    if HARNESS > 1:  # the first is not stated, and runs of before it was counted are of it
        identity = identity.changed(harness=HARNESS)
    if not method.cls.needs_text:
        return identity
    names = names_of_classes(bank.source, bank.split.classes)
    return identity.changed(text=needed(plan.text, method.name).identity(names))


def keys_of(plan: Plan, loaded: LoadedBackbone, files: Sequence[VideoFile]) -> list[str]:
    """Return the key under which the features of each video are stored."""
    if plan.given is not None:
        return [file.sha256 for file in files]
    return loaded.keys(files)


def may_reuse(folder: Path, identity: Identity, root: str | None = None) -> bool:
    """Whether the folder already holds this run, complete; ``root`` is that of a user's videos.

    Raises:
        UserError: the folder holds a different run, which would be lost.
    """
    if not (folder / "run.json").exists():
        return False
    run = read_run(folder)
    found, before = run.identity, run.declared.root
    if before not in (None, root) and found.videos_sha256 != identity.videos_sha256:
        raise UserError(
            f"{folder} holds a run on the videos in {before}, and these are others; choose another"
            " --out, or delete that run"
        )
    then, now = (_asked_for(one) for one in (found, identity))
    for field in ("form", "device"):
        then[field] = then[field] or now[field]  # runs of older versions do not state it
    for field, value in now.items():
        if then[field] != value:
            option = f"--device {then[field]} or " if field == "device" else ""
            raise UserError(
                f"{folder} holds a run with {field} {then[field]}, not {value};"
                f" choose {option}another --out, or delete that run"
            )
    return found == identity and identity.source_sha256 is not None


def _asked_for(identity: Identity) -> dict[str, object]:
    """The parts of a run's identity that its user chose."""
    features = identity.features or FeatureIdentity(backbone="")
    return {field: getattr(identity, field) for field in ASKED_FOR} | {
        "backbone": features.backbone,
        "sampling": features.sampling,
        "decoder": features.reader,
        "resize": features.resized,
        "device": features.device,
        "text": identity.text and identity.text.source,
        "prompt": identity.text and identity.text.prompt,
    }
