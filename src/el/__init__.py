"""Biomedical entity linking with Hypencoders and bi-encoders.

The names below are imported when they are first used: `import el` itself loads nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from el.corpus.types import Document, LinkedDocument, LinkedMention
    from el.linking.linker import Linker
    from el.models.biencoder import BiEncoder
    from el.models.hypencoder import Hypencoder
    from el.models.loading import load_model

__version__ = "0.1.0"

__all__ = [
    "BiEncoder",
    "Document",
    "Hypencoder",
    "LinkedDocument",
    "LinkedMention",
    "Linker",
    "__version__",
    "load_model",
]

_MODULES = {
    "BiEncoder": "el.models.biencoder",
    "Document": "el.corpus.types",
    "Hypencoder": "el.models.hypencoder",
    "LinkedDocument": "el.corpus.types",
    "LinkedMention": "el.corpus.types",
    "Linker": "el.linking.linker",
    "load_model": "el.models.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
