"""Published lists, and where a user's videos of them lie.

May import: episodes, episodes.decoding.
"""
