"""The form of files of facts."""

from episodes.disk.facts import SplitFacts
from episodes.schema import Model


class FactsFile(Model):
    """``NAME.toml``: the published splits of a data set."""

    train: SplitFacts | None = None
    """To learn from."""
    val: SplitFacts | None = None
    """To choose by."""
    test: SplitFacts | None = None
    """To be asked for."""
