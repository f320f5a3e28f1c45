"""What is trained, a method with its backbone if that is tuned, and by which optimiser."""

from dataclasses import fields, replace
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from bench.backbone import Backbone
from bench.machine import distributed
from bench.method import (
    ConfiguredMethod,
    FeatureShape,
    LabelledEpisodes,
    Method,
    NamedSupport,
    apply,
    join,
)
from bench.runs.recipe import TrainingRecipe
from bench.training.stream import EpisodeBatch


class Learner(nn.Module):
    """Loss terms of episodes; every parameter that training changes is below it.

    Args:
        method: built for the training classes, see `for_training`.
        backbone: the backbone, if it is tuned; None if features come ready.
        classes: training classes.
        recipe: weights of the losses, precision, batch norm.
        class_text: text features of all training classes, (classes, C), for a method that reads
            names; nothing trains them.
    """

    def __init__(
        self,
        method: Method,
        backbone: Backbone | None,
        classes: int,
        recipe: TrainingRecipe,
        class_text: Tensor | None = None,
    ) -> None:
        """Put the parts together; the global head is made where the recipe gives it weight."""
        super().__init__()
        self.method = method
        self.backbone = backbone
        self.recipe = recipe
        self.register_buffer("class_text", class_text, persistent=False)
        needed = recipe.global_weight > 0 and not has_own_head(method)
        self.head = nn.Linear(method.shape.channels, classes) if needed else None

    class_text: Tensor | None

    def train(self, mode: bool = True) -> "Learner":
        """Switch to training; a frozen batch norm in the backbone stays in evaluation."""
        super().train(mode)
        if self.backbone is not None and self.recipe.batch_norm == "frozen":
            for module in self.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, inputs: Tensor, batch: EpisodeBatch) -> dict[str, Tensor]:
        """Loss terms by name, each times its weight.

        Args:
            inputs: clips (videos, 3, frames, size, size), or features (videos, C, T, H, W) if
                there is no backbone; in the order of ``batch.videos``. Where the processes of a
                job share the videos, those of this process.
            batch: on the same device.
        """
        maps = distributed.completed(self._maps(inputs, batch), len(batch.videos))
        terms: dict[str, Tensor] = {}
        if self.recipe.episode_weight > 0:
            queries = batch.labels.shape[1] if self.recipe.sum_over_queries else 1
            own = self.method.loss(self._labelled(maps, batch))
            weight = self.recipe.episode_weight * queries
            terms = {name: weight * term for name, term in own.items()}
        if self.head is not None:
            logits = self.head(maps.mean(dim=(2, 3, 4)))
            entropy = nn.functional.cross_entropy(logits, batch.video_classes)
            terms["global"] = self.recipe.global_weight * entropy
        return terms

    def _maps(self, inputs: Tensor, batch: EpisodeBatch) -> Tensor:
        if self.backbone is None:
            return inputs
        # A share of a pass is never divided: only whole passes have batch norms that live.
        whole = len(inputs) == len(batch.videos)
        apart = self.recipe.separate_passes and whole
        passes = inputs.tensor_split([batch.support.numel()]) if apart else [inputs]
        reduced = self.recipe.precision == "bfloat16"
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=reduced):
            maps = torch.cat([self.backbone(one) for one in passes])
        return maps.float()

    def _labelled(self, maps: Tensor, batch: EpisodeBatch) -> LabelledEpisodes:
        count = batch.support.numel()
        if self.method.separate_passes:
            videos = join([self.method.encode(maps[:count]), self.method.encode(maps[count:])])
        else:
            videos = self.method.encode(maps)
        support = apply(
            videos, lambda one: one[:count].reshape(*batch.support.shape, *one.shape[1:])
        )
        query = apply(videos, lambda one: one[count:].reshape(*batch.query.shape, *one.shape[1:]))
        if self.class_text is not None:
            support = NamedSupport(support, self.class_text[batch.classes])
        return LabelledEpisodes(support, query, batch.labels, batch.classes, self.class_text)


def for_training(entry: ConfiguredMethod, classes: int) -> ConfiguredMethod:
    """Return the method with a head over the training classes, where its settings have one."""
    if any(field.name == "classes" for field in fields(entry.settings)):
        return replace(entry, settings=replace(entry.settings, classes=classes))  # type: ignore[call-arg]
    return entry


def has_own_head(method: Method) -> bool:
    """Whether the method classifies the training classes itself."""
    return bool(getattr(method.settings, "classes", 0))


def weights_for_use(
    learner: Learner, entry: ConfiguredMethod, shape: FeatureShape
) -> dict[str, Tensor]:
    """Return what evaluation needs: the method's weights without training's heads, the backbone's.

    Args:
        learner: trained.
        entry: the method as it is evaluated.
        shape: of its features.
    """
    used = entry.build(shape, 0).state_dict().keys()
    weights = {name: one for name, one in learner.method.state_dict().items() if name in used}
    if learner.backbone is not None:
        state = learner.backbone.state_dict()
        weights |= {f"backbone.{name}": one for name, one in state.items()}
    return {name: one.detach().cpu().contiguous() for name, one in weights.items()}


def optimiser_of(learner: Learner, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over everything that trains.

    Parameters are grouped by their learning rate (``peak``, which the schedule scales at each
    step) and by whether weight decay spares them.
    """
    kinds = {
        f"{place}.{name}": type(layer).__name__
        for place, layer in learner.named_modules()
        for name, _ in layer.named_parameters(recurse=False)
    }
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        known_as = name, kinds.get(name, "")
        spared = any(fnmatchcase(one, p) for one in known_as for p in recipe.without_weight_decay)
        groups.setdefault((name.startswith("backbone."), spared), []).append(parameter)
    options = [
        {
            "params": parameters,
            "peak": recipe.backbone_learning_rate if of_backbone else recipe.learning_rate,
            "weight_decay": 0.0 if spared else recipe.weight_decay,
        }
        for (of_backbone, spared), parameters in sorted(groups.items())
    ]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(options, lr=0.0, momentum=recipe.momentum, nesterov=recipe.nesterov)
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return kind(options, lr=0.0)


def set_learning_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to its peak times a factor."""
    for group in optimiser.param_groups:
        group["lr"] = factor * group["peak"]
