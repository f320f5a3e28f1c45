"""Settings of torch that are changed for a while."""

from collections.abc import Iterator

import pytest
import torch

from bench.machine.device import repeatable

DETERMINISTIC = torch.utils.deterministic  # type: ignore[attr-defined]


def settings() -> tuple[bool, bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        DETERMINISTIC.fill_uninitialized_memory,
    )


@pytest.fixture(autouse=True)
def _as_torch_has_them() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)
    DETERMINISTIC.fill_uninitialized_memory = True


@pytest.mark.parametrize("before", [(False, False, True), (True, True, False), (True, False, True)])
def test_repeatable_additions_leave_torch_as_it_was(before: tuple[bool, bool, bool]):
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    DETERMINISTIC.fill_uninitialized_memory = before[2]
    with repeatable(torch.device("cuda")):
        assert settings() == (True, True, False)
    assert settings() == before
