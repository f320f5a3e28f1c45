"""Charts of comparisons: the same drawing in the report and as files of their own.

May import: what `bench.report` may, but of its rooms only `cases.rebuilding`.
"""
