"""Models that score passages (names) for queries (mentions): Hypencoders and bi-encoders."""
