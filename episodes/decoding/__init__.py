"""From a video, or a folder of frames, to the frames of a clip, and what is stored about both.

May import: episodes.
"""
