"""Variants of the trained models, compared on dev. Nothing imports this package."""
