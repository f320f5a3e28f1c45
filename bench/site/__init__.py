"""A leaderboard of runs: packing them for others, holding them against the bank, and the site.

May import whatever reads and compares runs; nothing but commands imports it.
"""
