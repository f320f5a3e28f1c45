"""Episodes: data sets, splits, banks, decoding. Knows nothing of methods and of the harness.

Loose beside this file stands what all of its rooms need: splits and their videos, random draws,
errors, plugins, files that are whole or not there, and the types of what stands in files.

May import: nothing.
"""
