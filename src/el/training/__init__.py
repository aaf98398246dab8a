"""Contrastive training of both kinds of model, on one path."""
