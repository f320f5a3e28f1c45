"""Rebuilding the models of finished runs: settings, seed, weights and backbone."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from bench.features.backbones import LoadedBackbone, load_backbone, with_preprocessing_of
from bench.features.embedding import feature_identity
from bench.method import ConfiguredMethod, FeatureShape, find
from bench.plugins.registry import built_in_methods
from bench.running.checkpoints import load_weights, tuned_backbone
from bench.runs.run import Run
from bench.runs.schema import FeatureIdentity
from bench.weights.assignment import SHIPPED
from bench.weights.cards import WEIGHTS, file_sha256
from episodes.errors import UserError
from methods.mastaf import Mastaf, MastafSettings

CPU = torch.device("cpu")


@dataclass(frozen=True)
class RebuiltModel:
    """A method with the backbone that makes its features."""

    method: Mastaf
    backbone: LoadedBackbone


def rebuilt(run: Run) -> RebuiltModel:
    """Rebuild the model of a run.

    Raises:
        UserError: its weights are not found, or its features are computed differently now.
    """
    identity, features = run.identity, run.identity.features
    if features is None:
        raise UserError(f"the run of {identity.method} does not say which features it used")
    weights = weights_of(run)
    backbone = with_preprocessing_of(features, load_backbone(features.backbone, CPU))
    if weights is not None and identity.training and identity.training.backbone == "tuned":
        backbone = tuned_backbone(backbone, weights, CPU)
    _check_features(identity.method, features, backbone)
    method = _method(run, FeatureShape(backbone.backbone.channels, *backbone.backbone.grid))
    if weights is not None and method.learns:
        load_weights(method, weights)
    return RebuiltModel(method, backbone)


def _method(run: Run, shape: FeatureShape) -> Mastaf:
    """One of the four models, with the run's settings and weights drawn from its seed."""
    identity = run.identity
    cls = find(identity.method, built_in_methods()).cls
    try:
        settings = MastafSettings(**identity.settings or {})
    except TypeError as error:
        raise UserError(
            f"the settings of {identity.method} have changed since it was run ({error}); run it"
            " again"
        ) from error
    configured = ConfiguredMethod(identity.method, cls, settings)
    return cast("Mastaf", configured.build(shape, identity.seed or 0))


def weights_of(run: Run) -> Path | None:
    """Find the file of a run's weights: where it was, or among those shipped; None if it had none.

    Raises:
        UserError: it is in neither place.
    """
    wanted = run.identity.weights_sha256
    if wanted is None:
        return None
    method, before = run.identity.method, run.circumstances.weights
    shipped = sorted((SHIPPED / method.partition("[")[0]).glob(f"seed-*/{WEIGHTS}"))
    for path in ([Path(before)] if before else []) + shipped:
        if path.is_file() and file_sha256(path) == wanted:
            return path
    raise UserError(
        f"the trained weights of {method} (sha256 {wanted[:12]}…) are neither at"
        f" {before or 'a place that its run names'} nor among those shipped; put them back, or run"
        " it again with `fvbench run --weights`"
    )


def _check_features(method: str, features: FeatureIdentity, backbone: LoadedBackbone) -> None:
    """Refuse features that differ from the run's in more than the kind of device."""
    here = feature_identity(backbone, backbone.sampling_for(Mastaf), CPU).content()
    then = features.content()
    differing = [key for key in here if key != "device" and here[key] != then.get(key)]
    if differing:
        raise UserError(
            f"the features of {method} are computed differently now: {', '.join(differing)} differ"
            " from the run's; run it again"
        )
