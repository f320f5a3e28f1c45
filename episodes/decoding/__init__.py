"""From a video, or a folder of frames, to the frames of a clip, and what is remembered of both.

May import: episodes.
"""
