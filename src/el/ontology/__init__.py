"""Ontologies: concepts with names, readers of ontology files, and MeSH."""
