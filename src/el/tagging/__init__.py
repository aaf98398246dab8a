"""Mentions of chemicals and diseases in plain text, by a token classifier."""
