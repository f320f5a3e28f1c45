"""Settings of torch that are changed for a while; the driver of the GPU."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.machine.device import driver_version, repeatable

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


@pytest.mark.parametrize(
    ("tool", "version"),
    [
        ("exec /bin/sleep 60", None),
        ("echo 535.104.05", "535.104.05"),
        ("echo NVIDIA-SMI has failed; exit 9", None),
        (None, None),
    ],
)
def test_the_drivers_version_is_not_waited_for(
    tool: str | None, version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if tool is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{tool}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert driver_version(patience=0.5) == version
