"""From mentions in documents to ranked concepts: evidence, decisions, and linkers on disk."""
