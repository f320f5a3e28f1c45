"""Episodes: data sets, splits, banks, decoding. Knows nothing of methods and of the harness.

Loose beside this file stands what all of its rooms need: splits and their videos, random draws,
errors, plugins, and files that are whole or not there.

May import: nothing.
"""
