"""Parts that two families of methods or more share: positional tables, tuples of frames, etc.

May import: bench.
"""
