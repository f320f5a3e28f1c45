"""The rendered dataset: short videos of moving shapes, drawn by this program.

A class is how things move, never what they look like. `grammar` defines the classes, `scene` draws
the content of a video, `raster` turns it into pixels, and `encoding` writes the file.

May import: episodes.
"""
