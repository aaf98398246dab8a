"""Names as vectors on disk, and search over them."""
