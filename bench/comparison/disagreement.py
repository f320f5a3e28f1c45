"""Where two methods disagree: who is right where the other is wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.runs.contenders import Contender
from bench.statistics import mcnemar_p_value


@dataclass(frozen=True)
class Disagreement:
    """Queries by who answers them right: the 2 x 2 table of two methods.

    After several trainings a query counts as right if most of them answer it so, of which the
    first training decides a tie.
    """

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int

    @property
    def p_value(self) -> float:
        """McNemar's exact test, which takes queries as independent: of these videos alone."""
        return mcnemar_p_value(self.only_first, self.only_second)


def disagreement(first: Contender, second: Contender) -> Disagreement:
    """Count the queries that both, one or none of two contenders on one bank answer right."""
    one, other = _right(first), _right(second)
    return Disagreement(
        both_right=int((one & other).sum()),
        only_first=int((one & ~other).sum()),
        only_second=int((~one & other).sum()),
        both_wrong=int((~one & ~other).sum()),
    )


def _right(contender: Contender) -> NDArray[np.bool_]:
    right = np.array(
        [(run.rows["label"] == run.rows["prediction"]).to_numpy() for run in contender.runs]
    )
    votes = right.sum(axis=0) + (right[0] - 0.5) / 2
    return np.asarray(votes > len(right) / 2)
