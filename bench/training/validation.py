"""Accuracy on the validation bank, measured with the same loop and features as in every run."""

from itertools import islice

import torch
from torch import Tensor

from bench.backbone import Backbone
from bench.features import filling
from bench.features.filling import Embedding, warm_up
from bench.features.text import needed, text_of_videos
from bench.machine import distributed
from bench.machine.progress import Reporter
from bench.running.execute import in_order_of_content
from bench.running.loop import evaluate
from bench.training.clips import ClipFormat, ClipLibrary
from bench.training.inputs import stored_features, video_files
from bench.training.learner import Learner
from bench.training.plan import Training

BATCH = 64


class Validator:
    """Measures a learner on the validation bank, whose clips or features are loaded once."""

    def __init__(self, training: Training, library: ClipLibrary, reporter: Reporter) -> None:
        """Find the bank's videos, and embed them if the backbone is frozen."""
        self._training = training
        self._text: Tensor | None = None
        bank = training.validation
        used = bank.used_videos()
        files = video_files(training, bank.split, used, reporter)
        hashes = [file.sha256 for file in files]
        order, self._episodes = in_order_of_content(
            hashes, used, bank.episodes, len(bank.split.videos)
        )
        files = [files[index] for index in order]
        if training.method.cls.needs_text:
            text = needed(training.text, training.method.name)
            videos = [file.video for file in files]
            self._text = text_of_videos(text, bank.source, bank.split.classes, videos)
        if training.tuned:
            self._files, self._library = files, library
            spec, decoder = training.backbone.backbone.input, training.backbone.decoder
            self._format = ClipFormat(spec, training.sampling, torch.float32, decoder)
        else:
            self._features = stored_features(training, files, reporter)

    def accuracy(self, learner: Learner) -> float:
        """Return the accuracy over all queries of the bank, a fraction."""
        # As in a run, without heads over training classes.
        method = self._training.method.build(self._training.shape, self._training.seed)
        state = learner.method.state_dict()
        method.load_state_dict({name: state[name] for name in method.state_dict()})
        if learner.backbone is None:
            features = self._features
        else:
            features = self._embedded(learner.backbone.eval())
            learner.train()
        episodes, device = self._episodes, self._training.device
        answers = evaluate(
            method, features, episodes, device, BATCH, lambda done, total: None, self._text
        )
        return float((answers.prediction == episodes.labels).mean())

    def _embedded(self, backbone: Backbone) -> Tensor:
        """Features of all videos, computed as in a run; each process of a job embeds its share."""
        features = torch.empty(0, *self._training.shape)
        if files := distributed.share(self._files):
            warm_up(backbone, self._training.device)
            embedding = Embedding(backbone, self._training.device)
            clips = self._library.each(files, self._format)
            while batch := list(islice(clips, filling.BATCH)):
                embedding.add([("", clip) for clip in batch])
            features = torch.from_numpy(embedding.result()[0])
        return distributed.together(features, [1] * len(self._files))
