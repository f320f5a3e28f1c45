"""fewshot-video-bench: one episode bank, one loop, comparable numbers.

For Python and notebooks: `load_bank`, `load_method`, `evaluate`, explained in `bench.api`. They are
imported when they are asked for: importing this package alone loads nothing.

Loose beside this file stands what outsiders import: the contracts of methods (`bench.method`),
backbones (`bench.backbone`, `bench.pretrained`) and reproductions (`bench.reference`), and the two
doors, `bench.api` and `bench.__main__`, which belong to the commands.

May import: episodes.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import (
        Chart,
        ConfiguredMethod,
        Results,
        assert_not_worse,
        evaluate,
        load_bank,
        load_method,
    )

__version__ = "0.1.0"
__all__ = [
    "Chart",
    "ConfiguredMethod",
    "Results",
    "assert_not_worse",
    "evaluate",
    "load_bank",
    "load_method",
]


def __getattr__(name: str) -> Any:
    """Import what belongs to `bench.api` when it is used first."""
    if name not in __all__:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    from bench import api  # noqa: PLC0415 - torch and pandas take a second to import

    return getattr(api, name)
