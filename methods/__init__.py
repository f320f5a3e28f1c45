"""The methods: one file each, found by being here.

May import: bench, methods.parts.
"""
