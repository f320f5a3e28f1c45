import pytest
import torch
from torch.nn.functional import cosine_similarity, relu

from bench.method import FeatureShape
from methods.hyrsm import HyRSM, HyRSMSettings, incoherence
from methods.parts.attention import SelfAttention, attend, heads_for
from tests.methods.cases import labelled_episodes

SHAPE = FeatureShape(16, 4, 2, 3)


def build(**settings):
    torch.manual_seed(0)
    return HyRSM(SHAPE, HyRSMSettings(**settings)).eval()


def enriched_one_by_one(method, videos, asked):
    """Enrich a list of videos (T, C) and one query, by the words of the paper."""
    tokens = torch.stack([video.mean(dim=0) for video in (*videos, asked)])
    inter = method.inter
    projected = (projection(tokens) for projection in (inter.query, inter.key, inter.value))
    read = relu(inter.norm(tokens + inter.out(attend(*projected, inter.heads))))
    return [
        torch.stack([method.merge(torch.cat([frame, token])) for frame in video])
        for video, token in zip((*videos, asked), read, strict=True)
    ]


def test_terms_left_out_by_default():
    method = build()
    assert set(method.loss(labelled_episodes(method))) == {"episode"}


def slow_incoherence(videos):
    total = []
    for video in videos:
        for i, first in enumerate(video):
            for j, second in enumerate(video):
                distance, apart = 1 - cosine_similarity(first, second, dim=0), abs(i - j)
                wanted = 1 - torch.exp(torch.tensor(-((apart - 1) ** 2) / 51.0))
                near, far = distance / (apart**2 + 1), 10 * relu(wanted - distance)
                total.append(near if apart <= 1 else far)
    return sum(total) / len(total)


@torch.no_grad()
def test_coherence_against_loops():
    method = build(coherence_weight=0.3, classes=6)
    episodes = labelled_episodes(method)
    supports, queries = [], []
    for e in range(2):
        for q in range(3):
            classes = list(episodes.support.frames[e].mean(dim=1))
            *videos, asked = enriched_one_by_one(method, classes, episodes.query.frames[e, q])
            supports, queries = [*supports, *videos], [*queries, asked]
    expected = 0.3 * (slow_incoherence(supports) + slow_incoherence(queries))
    torch.testing.assert_close(method.loss(episodes)["coherence"], expected)


def test_coherence_of_two_hand_made_videos():
    # Three equal frames: the pair 2 apart should differ by 1 - exp(-1 / 51), the rest is perfect.
    same = torch.ones(3, 3)
    assert incoherence(same).item() == pytest.approx(2 * 10 * 0.0194166 / 9, abs=1e-5)
    # Two orthogonal frames: distance 1 between neighbours, divided by 1 + 1.
    assert incoherence(torch.eye(2)).item() == pytest.approx(2 * 0.5 / 4)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_against_a_loop_over_heads(heads):
    query, key, value = torch.randn(3, 2, 5, 8, generator=torch.Generator().manual_seed(0))
    parts = [
        (q @ k.mT / (8 / heads) ** 0.5).softmax(dim=-1) @ v
        for q, k, v in zip(*(x.chunk(heads, dim=-1) for x in (query, key, value)), strict=True)
    ]
    torch.testing.assert_close(attend(query, key, value, heads), torch.cat(parts, dim=-1))


def test_self_attention_keeps_the_tokens_as_they_came_beside_what_is_read():
    torch.manual_seed(0)
    layer = SelfAttention(8, 2, 0.0).eval()
    tokens = torch.randn(3, 4, 8)
    query, key, value = layer.project_in(layer.norm(tokens)).split(8, dim=-1)
    expected = tokens + layer.project_out(attend(query, key, value, 2))
    torch.testing.assert_close(layer(tokens), expected)


@pytest.mark.parametrize(("channels", "heads"), [(96, 8), (12, 4), (7, 1), (1, 1)])
def test_heads_divide_the_channels(channels, heads):
    assert heads_for(channels, 8) == heads
