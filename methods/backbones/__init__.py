"""The backbones: one file each, found by being here.

May import: bench, episodes.
"""
