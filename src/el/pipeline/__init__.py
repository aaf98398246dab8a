"""Stages that know models: each reads params.yaml, calls the library and writes its outputs."""

from transformers.utils import logging

# Loading some megabytes needs no bar of its own among those of the stages.
logging.disable_progress_bar()  # type: ignore[no-untyped-call]
