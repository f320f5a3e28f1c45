"""The rendered dataset: short videos of moving shapes, drawn by this program.

A class is how things move, never what they look like. `grammar` says which classes there are,
`scene` draws what a video shows, `raster` turns it into pixels, and `encoding` writes the file.

May import: episodes.
"""
