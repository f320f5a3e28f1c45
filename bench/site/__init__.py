"""A leaderboard of runs: packing them for others, checking them against the bank, and the site.

May import: bench and all of its rooms but bench.commands, episodes and its rooms.
"""
