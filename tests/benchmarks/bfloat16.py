"""What bfloat16 costs in accuracy on the bank `default`: `python -m tests.benchmarks.bfloat16`."""

import argparse

import torch
from tabulate import tabulate

from bench.backbones import load_backbone
from bench.candidates import candidates
from bench.checkpoints import load_weights
from bench.device import choose_device
from bench.features.embedding import embed_missing, open_store
from bench.loop import evaluate
from bench.method import FeatureShape, Method, find
from bench.registry import built_in_methods
from bench.run import in_order_of_content
from episodes.bank import open_bank
from tests.synthetic import NOTHING

MOST = 0.1
"""Points of accuracy that it may cost, or bring."""


def features_and_episodes(loaded, count, device):
    bank = open_bank("default", episodes=count)
    used = bank.used_videos()
    files = bank.source.files(bank.recipe.split, [bank.split.videos[i] for i in used], NOTHING)
    store = open_store(loaded, Method.sampling, device)
    embed_missing([(store, loaded)], Method.sampling, files, device, NOTHING)
    hashes = [file.sha256 for file in files]
    order, episodes = in_order_of_content(hashes, used, bank.episodes, len(bank.split.videos))
    return torch.from_numpy(store.read([hashes[i] for i in order])), episodes


def built(name, loaded, shape):
    """Build a method with the weights that come with the program."""
    entry = find(name, built_in_methods())
    candidate = candidates([entry], None, loaded.weights_sha256)[0]
    method = candidate.entry.build(shape, seed=0)
    if candidate.checkpoint is not None and method.learns:
        load_weights(method, candidate.checkpoint.path)
    return method


def line(name, loaded, features, episodes, device):
    """Name, accuracies, their difference, and the share of predictions that change, in percent."""
    exact, rough = (
        evaluate(
            built(name, loaded, FeatureShape(*features.shape[1:])),
            *(features, episodes, device, 64, NOTHING, kind),
        ).prediction
        for kind in (torch.float32, torch.bfloat16)
    )
    right, still = ((found == episodes.labels).mean() for found in (exact, rough))
    return name, 100 * right, 100 * still, 100 * (still - right), 100 * (exact != rough).mean()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default="mastaf,otam,trx,hyrsm,strm")
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--device", default="cpu")
    wanted = parser.parse_args()
    device = choose_device(wanted.device)
    loaded = load_backbone("motion", device)
    data = features_and_episodes(loaded, wanted.episodes, device)
    lines = [line(name, loaded, *data, device) for name in wanted.methods.split(",")]
    heads = ["method", "float32 %", "bfloat16 %", "difference, points", "predictions changed %"]
    print(tabulate(lines, heads, tablefmt="pipe", floatfmt=("", ".2f", ".2f", "+.3f", ".2f")))  # noqa: T201
    return int(any(abs(difference) >= MOST for _, _, _, difference, _ in lines))


if __name__ == "__main__":
    raise SystemExit(main())
