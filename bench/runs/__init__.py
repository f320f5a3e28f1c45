"""Finished runs on disk, and which of them are one contender."""
