"""How fast methods are, stage by stage, on random features of any shape.

May import: bench, bench.machine, bench.running, episodes, episodes.banks.
"""
