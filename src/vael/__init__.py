"""Train, judge and use variational autoencoders."""

__version__ = "0.1.0"
