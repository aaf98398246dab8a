"""Evaluation: protocols, metrics, stored predictions, baselines, and an analysis of errors."""
