"""Concepts as files can hold them."""

from pathlib import Path

from hypothesis import strategies as st

from el.ontology.entries import one_line
from el.ontology.ontology import Concept, Name

_CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="|")
_TEXTS = st.text(_CHARACTERS, max_size=8).map(one_line)
_IDS = st.from_regex(r"[A-Z]{1,5}[:.-]?[0-9]{1,3}", fullmatch=True).filter(lambda text: text[:5] != "MESH:")


def concepts() -> st.SearchStrategy[list[Concept]]:
    """Concepts of different ids and names, white space in texts single, without the sign between synonyms."""
    one = st.builds(
        Concept,
        id=_IDS,
        names=st.lists(_TEXTS.filter(bool), min_size=1, max_size=4, unique=True).map(
            lambda texts: tuple(map(Name, texts))
        ),
        kind=st.sampled_from(["chemical", "disease", "other"]),
        definition=_TEXTS,
    )
    return st.lists(one, min_size=1, max_size=5, unique_by=lambda concept: concept.id)


def write(path: Path, text: str) -> Path:
    """Writes a text as it is."""
    path.write_bytes(text.encode())
    return path
