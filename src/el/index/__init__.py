"""Names as vectors on disk, and search over them."""

from el.index.encode import encode_texts
from el.index.vectors import NameVectors, build_name_vectors

__all__ = ["NameVectors", "build_name_vectors", "encode_texts"]
