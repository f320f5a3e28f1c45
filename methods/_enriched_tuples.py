"""STRM's tuples of enriched frames, and how near a query's are to those of a class."""

from typing import NamedTuple

from torch import Tensor

from methods._products import inner_products
from methods._tuple_parts import TupleParts

LEAST_SQUARE = 1e-12
"""Squared distance of equal tuples, so that the gradient of its root is finite."""


class Enriched(NamedTuple):
    """Tuples of frames after both enrichments, and after the first one only."""

    keys: Tensor
    values: Tensor
    scale: Tensor
    offset: Tensor
    energy: Tensor
    """These five are `TupleParts` after both enrichments."""
    patch_tuples: Tensor
    """(..., tuples, C / 2): tuples of patch-enriched frames under a fixed random projection."""
    patch_energy: Tensor
    """(..., tuples): their squared lengths, in four bytes at least."""

    @property
    def parts(self) -> TupleParts:
        """Tuples after both enrichments."""
        return TupleParts(*self[:5])


def nearest_tuple_scores(support: Enriched, query: Enriched) -> Tensor:
    """Minus the mean distance of query tuples to the nearest of any support video of a class.

    (episodes, way, shot, tuples, D) and (episodes, queries, tuples, D) -> (episodes, queries, way)
    """
    way = support.patch_tuples.shape[1]
    products = inner_products(query.patch_tuples.flatten(1, 2), support.patch_tuples.flatten(1, 3))
    # |q - s|^2 = |q|^2 + 2 (|s|^2 / 2 - q.s), of which only the bracket depends on s.
    rest = support.patch_energy.flatten(1).unsqueeze(1) / 2 - products
    nearest = rest.unflatten(2, (way, -1)).amin(dim=-1)
    squares = query.patch_energy.flatten(1).unsqueeze(2) + 2 * nearest
    distances = squares.clamp(min=LEAST_SQUARE).sqrt()
    scores: Tensor = -distances.unflatten(1, query.patch_energy.shape[1:]).mean(dim=2)
    return scores
