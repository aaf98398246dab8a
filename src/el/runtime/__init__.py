"""Finding the names that a model scores best: a compiled model, and candidates from a vector index."""
