"""Biomedical entity linking with Hypencoders and bi-encoders."""

__version__ = "0.1.0"
