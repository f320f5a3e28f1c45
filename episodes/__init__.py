"""Episodes: data sets, splits, banks, decoding. Knows nothing of methods or of the harness.

The files beside this one hold what all rooms need: splits and their videos, random draws, errors,
plugins, atomic writes, and the types of files.

May import: nothing.
"""
