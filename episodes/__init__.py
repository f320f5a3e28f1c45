"""Episodes: datasets, splits, banks, decoding. Knows nothing of methods and of the harness."""
