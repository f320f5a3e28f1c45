"""The same methods on several banks: whether the banks agree on which method is better.

May import: the rest of `bench.comparison` but `gate`, and what that may.
"""
