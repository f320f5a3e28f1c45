"""Simulated classes, videos and methods, on which intervals are tried: what they cover is known."""
