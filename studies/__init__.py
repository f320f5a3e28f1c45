"""Studies whose results the documentation quotes. They are run from a clone and not installed."""
