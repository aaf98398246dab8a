"""Contrastive training of bi-encoders and Hypencoders, with the same code for both."""
