"""Spanmix: train, evaluate and serve code language models that complete and infill."""

__version__ = "0.1.0"
