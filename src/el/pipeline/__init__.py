"""The DVC stages beyond fetching and converting, and commands beside them.

Each reads params.yaml, calls the library and writes its outputs.
"""

import os

# Loading a model takes a moment; its progress bar would disturb those of the stages. The variable is set
# rather than the library called, because importing transformers takes longer than some stages.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
