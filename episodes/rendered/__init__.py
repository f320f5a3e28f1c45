"""The rendered dataset: short videos of moving shapes, drawn by this program.

A class is defined by how things move, never by how they look. `grammar` defines the classes,
`scene` draws the content of a video, `raster` its pixels, and `encoding` writes the file.

May import: episodes.
"""
