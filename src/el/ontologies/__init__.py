"""Ontologies of a user's own: files of several formats, read as concepts."""
