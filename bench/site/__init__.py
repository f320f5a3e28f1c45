"""A leaderboard of runs: packing them for others, holding them against the bank, and the site.

May import: bench and all of its rooms but bench.commands, episodes and its rooms.
"""
