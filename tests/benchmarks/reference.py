"""Methods as their authors' code runs them: one episode at a time, from its features on.

Every episode does all of its work again, as where features belong to an episode; weights are those
of the method under test, scores have to be equal. Formulas are the plain ones, in as few calls as
one episode allows.
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize, relu

from methods.parts.frames import hausdorff_distances
from methods.parts.positions import hyrsm_positions, usual_positions
from methods.parts.tuples import tuple_index


def _frames(features: Tensor) -> Tensor:
    return features.mean(dim=(3, 4)).transpose(1, 2)


def learned_kernel(learner, pooled: Tensor) -> Tensor:
    """Kernels over positions from pooled relations, (..., L) both."""
    hidden = relu(learner.norm(learner.squeeze(pooled).flatten(0, -2)))
    return learner.expand(hidden).reshape(pooled.shape)


def mastaf(method, support: Tensor, query: Tensor) -> Tensor:
    """Relations of all pairs of maps in full, (way, queries, L, L); support (way, C, T, H, W)."""
    maps = [features.flatten(2) for features in (support, query)]
    unit = [normalize(one, dim=1) for one in maps]

    def attention(own: Tensor, other: Tensor) -> Tensor:
        relations = own.mT @ other
        kernel = learned_kernel(method.learner, relations.mean(dim=-2))
        scores = (relations * kernel.unsqueeze(-2)).mean(dim=-1)
        return 1 + torch.softmax(scores / method.settings.temperature, dim=-1)

    def pooled(one: Tensor, weights: Tensor) -> Tensor:
        return (one @ weights.unsqueeze(-1)).squeeze(-1)

    pair = unit[0][:, None], unit[1][None]
    of_class = pooled(maps[0][:, None], attention(*pair))
    of_query = pooled(maps[1][None], attention(*pair[::-1]))
    cross = cosine_similarity(of_class, of_query, dim=-1)
    own = [pooled(one, attention(u, u)) for one, u in zip(maps, unit, strict=True)]
    alone = cosine_similarity(own[0][:, None], own[1][None], dim=-1)
    return (method.settings.scale * (cross + alone)).T


def otam(method, support: Tensor, query: Tensor) -> Tensor:
    """The recursion cell by cell, on the distances of all pairs of an episode, both ways."""
    of_query, of_support = _frames(query), _frames(support)
    products = torch.einsum("qtc,nsc->qnts", of_query, of_support)
    norms = of_query.norm(dim=-1)[:, None, :, None] * of_support.norm(dim=-1)[None, :, None]
    distances = 1 - products / (norms + method.settings.epsilon)
    return -_cumulative(torch.stack([distances, distances.mT])).sum(dim=0)


def _cumulative(distances: Tensor, lbda: float = 0.1) -> Tensor:
    padded = torch.nn.functional.pad(distances, (1, 1))
    rows, columns = padded.shape[-2:]
    costs = torch.zeros_like(padded)
    for m in range(1, columns):
        costs[..., 0, m] = padded[..., 0, m] + costs[..., 0, m - 1]
    for row in range(1, rows):
        for m in range(1, columns):
            before = [costs[..., row - 1, m - 1], costs[..., row, m - 1]]
            if m in (1, columns - 1):
                before.append(costs[..., row - 1, m])
            weights = torch.stack([torch.exp(-cost / lbda) for cost in before]).sum(dim=0)
            costs[..., row, m] = padded[..., row, m] - lbda * torch.log(weights)
    return costs[..., -1, -1]


def _tuple_scores(head, support: Tensor, query: Tensor) -> Tensor:
    """Frames (way, T, C) and (queries, T, C), tuples projected whole."""
    index = tuple_index(support.shape[1], head.cardinality)
    tuples = [usual_positions(videos)[:, index].flatten(2) for videos in (support, query)]
    (keys, q_keys), (values, q_values) = (
        [head.norm(head.key(one)) for one in tuples],
        [head.value(one) for one in tuples],
    )
    scores = []
    for key, value in zip(keys, values, strict=True):
        shares = (q_keys @ key.mT / key.shape[-1] ** 0.5).softmax(dim=-1)
        scores.append(-(q_values - shares @ value).square().sum(dim=(1, 2)) / len(index))
    return torch.stack(scores, dim=-1)


def trx(method, support: Tensor, query: Tensor) -> Tensor:
    """Each cardinality in turn."""
    videos = _frames(support), _frames(query)
    return torch.stack([_tuple_scores(head, *videos) for head in method.heads]).mean(dim=0)


def strm(method, support: Tensor, query: Tensor) -> Tensor:
    """Both enrichments of all of the episode's videos, then tuples."""
    frames = [method.patches(videos) for videos in (support, query)]
    index = tuple_index(support.shape[2], method.settings.cardinality)
    s_tuples, q_tuples = (
        relu(one[:, index].flatten(2) @ method.fixed_weight.T + method.fixed_bias) for one in frames
    )
    near = [torch.cdist(q_tuples, one).amin(dim=-1).mean(dim=-1) for one in s_tuples]
    main = _tuple_scores(method.tuples, *(method.frames(one) for one in frames))
    return main - method.settings.auxiliary * torch.stack(near, dim=-1)


def hyrsm(method, support: Tensor, query: Tensor) -> Tensor:
    """Every query with the supports in turn; the 1 x 1 convolution over [frame, token]."""
    a, b = method.settings.position_a, method.settings.position_b
    s_frames, q_frames = (
        relu(method.intra(hyrsm_positions(_frames(videos), a, b))) for videos in (support, query)
    )
    return torch.stack([_hyrsm_query(method, s_frames, one[None]) for one in q_frames])


def _hyrsm_query(method, support: Tensor, query: Tensor) -> Tensor:
    inter, videos = method.inter, torch.cat([support, query])
    tokens = videos.mean(dim=1)
    q, k, v = (
        one(tokens).unflatten(-1, (inter.heads, -1)).transpose(0, 1)
        for one in (inter.query, inter.key, inter.value)
    )
    read = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1) @ v
    related = relu(inter.norm(tokens + inter.out(read.transpose(0, 1).flatten(1))))
    both = torch.cat([videos, related.unsqueeze(1).expand_as(videos)], dim=-1)
    enriched = normalize(method.merge(both), dim=-1)
    return -hausdorff_distances(1 - enriched[-1] @ enriched[:-1].mT)


REFERENCES = {"mastaf": mastaf, "otam": otam, "trx": trx, "hyrsm": hyrsm, "strm": strm}
