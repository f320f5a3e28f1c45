"""fewshot-video-bench: one episode bank, one loop, comparable numbers.

For Python and notebooks: `load_bank`, `load_method`, `evaluate` in `bench.api`. They are imported
on first use: importing this package alone loads nothing.

The modules beside this file are those that others import: the contracts of methods
(`bench.method`), backbones (`bench.backbone`, `bench.pretrained`) and reproductions
(`bench.reference`), the settings of methods (`bench.settings`), and the two entry points,
`bench.api` and `bench.__main__`, which count as parts of `bench.commands`.

May import: episodes, episodes.decoding.
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
    """Import a name of `bench.api` on its first use."""
    if name not in __all__:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    from bench import api  # noqa: PLC0415 - torch and pandas take a second to import

    return getattr(api, name)
