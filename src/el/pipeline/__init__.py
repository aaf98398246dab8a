"""The DVC stages beyond fetching and converting, and commands beside them.

Each reads params.yaml, calls the library and writes its outputs.
"""

from transformers.utils import logging

# Loading a model takes a moment; its progress bar would disturb those of the stages.
logging.disable_progress_bar()  # type: ignore[no-untyped-call]
