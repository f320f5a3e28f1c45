"""Banks of episodes: recipes, the episodes drawn from them, and what missing videos do to both.

May import: episodes, episodes.datasets, episodes.decoding, episodes.disk.
"""
