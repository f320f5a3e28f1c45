"""The trained module, a method with its backbone if that is tuned, and its optimiser."""

from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from bench.backbone import Backbone
from bench.conformance.learning import has_global_head
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
from bench.training.stream import EpisodeBatch
from bench.weights.recipe import TrainingRecipe


class Learner(nn.Module):
    """Computes the loss terms of episodes; holds every parameter that is trained.

    Args:
        method: built for the training classes, see `bench.conformance.learning.for_training`.
        backbone: the backbone if it is tuned; None if the inputs are features.
        classes: number of training classes.
        recipe: loss weights, precision, batch norm.
        class_text: text features of all training classes, (classes, C), not trained, for a method
            that reads class names.
    """

    def __init__(
        self,
        method: Method,
        backbone: Backbone | None,
        classes: int,
        recipe: TrainingRecipe,
        class_text: Tensor | None = None,
    ) -> None:
        """Add a global head if the recipe gives it weight and the method has no such head."""
        super().__init__()
        self.method = method
        self.backbone = backbone
        self.recipe = recipe
        self.register_buffer("class_text", class_text, persistent=False)
        needed = recipe.global_weight > 0 and not has_global_head(method)
        self.head = nn.Linear(method.shape.channels, classes) if needed else None

    class_text: Tensor | None

    def train(self, mode: bool = True) -> "Learner":
        """Switch to training mode; frozen batch norms of the backbone stay in evaluation mode."""
        super().train(mode)
        if self.backbone is not None and self.recipe.batch_norm == "frozen":
            for module in self.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, inputs: Tensor, batch: EpisodeBatch) -> dict[str, Tensor]:
        """Return the weighted loss terms by name.

        Args:
            inputs: clips (videos, 3, frames, size, size), or features (videos, C, T, H, W) if
                there is no backbone, in the order of ``batch.videos``; only those of this process
                if the processes of a job share a pass.
            batch: the episodes, on the same device.
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
        # Batch norms are live in whole passes only, so a share needs no separate passes.
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


def weights_for_use(
    learner: Learner, method: ConfiguredMethod, shape: FeatureShape
) -> dict[str, Tensor]:
    """Return the weights for evaluation: the method without training heads, and the backbone."""
    used = method.build(shape, 0).state_dict().keys()
    weights = {name: one for name, one in learner.method.state_dict().items() if name in used}
    if learner.backbone is not None:
        state = learner.backbone.state_dict()
        weights |= {f"backbone.{name}": one for name, one in state.items()}
    return {name: one.detach().cpu().contiguous() for name, one in weights.items()}


def optimiser_of(learner: Learner, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser for all parameters.

    They are grouped by learning rate (``peak``, which the schedule scales at every step) and by
    whether weight decay applies.
    """
    kinds = {
        f"{place}.{name}": type(layer).__name__
        for place, layer in learner.named_modules()
        for name, _ in layer.named_parameters(recurse=False)
    }
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        labels = name, kinds.get(name, "")
        spared = any(fnmatchcase(one, p) for one in labels for p in recipe.without_weight_decay)
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
    """Set the learning rate of every group to its peak times a factor."""
    for group in optimiser.param_groups:
        group["lr"] = factor * group["peak"]
