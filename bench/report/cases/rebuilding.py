"""The models of finished runs, built again: settings, seed, weights and backbone."""

from dataclasses import dataclass
from pathlib import Path

import torch

from bench.features.backbones import LoadedBackbone, load_backbone
from bench.features.embedding import feature_identity
from bench.features.preprocessing import with_preprocessing_of
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
class Model:
    """A method with the backbone that makes its features."""

    method: Mastaf
    backbone: LoadedBackbone


def rebuilt(run: Run) -> Model:
    """Build the model of a run again.

    Raises:
        UserError: its weights are not to be found, or its features are made in another way now.
    """
    identity = run.identity
    weights = weights_of(run)
    features = _features_of(run)
    backbone = with_preprocessing_of(features, load_backbone(features.backbone, CPU))
    if weights is not None and identity.training and identity.training.backbone == "tuned":
        backbone = tuned_backbone(backbone, weights, CPU)
    _check_features(run, backbone)
    method = _method(run, FeatureShape(backbone.backbone.channels, *backbone.backbone.grid))
    if weights is not None and method.learns:
        load_weights(method, weights)
    return Model(method, backbone)


def _method(run: Run, shape: FeatureShape) -> Mastaf:
    """The method with the run's settings and seed, its weights as they start."""
    identity = run.identity
    cls = find(identity.method, built_in_methods()).cls
    try:
        settings = MastafSettings(**identity.settings or {})
    except TypeError as error:
        raise UserError(
            f"the settings of {identity.method} have changed since it was run ({error}); run it"
            " again"
        ) from error
    method = ConfiguredMethod(identity.method, cls, settings).build(shape, identity.seed or 0)
    if not isinstance(method, Mastaf):
        raise UserError(f"{identity.method} is a method other than MASTAF: {cls.__name__}")
    return method


def weights_of(run: Run) -> Path | None:
    """Return the file that holds the weights of a run: where it was, or among those shipped.

    None if the run had none.

    Raises:
        UserError: it is in neither place.
    """
    wanted = run.identity.weights_sha256
    if wanted is None:
        return None
    method, said = run.identity.method, run.circumstances.weights
    places = sorted((SHIPPED / method.partition("[")[0]).glob(f"seed-*/{WEIGHTS}"))
    for path in ([Path(said)] if said else []) + places:
        if path.is_file() and file_sha256(path) == wanted:
            return path
    raise UserError(
        f"the trained weights of {method} (sha256 {wanted[:12]}…) are neither at"
        f" {said or 'a place that its run names'} nor among those shipped; put them back, or run it"
        " again with `fvbench run --weights`"
    )


def _features_of(run: Run) -> FeatureIdentity:
    if run.identity.features is None:
        raise UserError(f"the run of {run.identity.method} does not say which features it used")
    return run.identity.features


def _check_features(run: Run, backbone: LoadedBackbone) -> None:
    """Refuse features that differ from the run's in more than the kind of device."""
    here = feature_identity(backbone, backbone.sampling_for(Mastaf), CPU).content()
    then = _features_of(run).content()
    differing = [key for key in here if key != "device" and here[key] != then.get(key)]
    if differing:
        raise UserError(
            f"the features of {run.identity.method} are made in another way now:"
            f" {', '.join(differing)} differ from the run's; run it again"
        )
