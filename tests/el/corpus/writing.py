"""What a writer writes, as text."""

import io

from el.corpus.formats import OutputFormat, open_writer
from el.corpus.types import Document, LinkedDocument


def written(format: OutputFormat, *documents: Document | LinkedDocument, head: object = None) -> str:
    """Returns documents in a format; those without links as they are."""
    stream = io.StringIO()
    with open_writer(stream, format, head) as writer:
        for document in documents:
            is_linked = isinstance(document, LinkedDocument)
            writer.write(document if is_linked else LinkedDocument(document, ()))
    return stream.getvalue()
