"""fewshot-video-bench: one episode bank, one loop, comparable numbers."""

__version__ = "0.1.0"
