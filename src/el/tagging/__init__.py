"""Finds mentions of chemicals and diseases in plain text, with a dictionary and a token classifier."""
