from pathlib import Path

import pytest

from el.base.errors import InputError
from el.corpus.types import Document, Mention, Passage, Span
from el.linking.synonyms import LearnedSynonyms

KNOWN = {"D1", "D2"}


def document(text: str, *mentions: tuple[str, str]) -> Document:
    made = []
    for number, (form, ids) in enumerate(mentions):
        start = text.rindex(form)
        span = Span(start, start + len(form))
        made.append(Mention(str(number), (span,), form, "disease", tuple(ids.split())))
    return Document("d", (Passage("title", 0, text),), tuple(made))


def test_mentions_are_counted_by_form_and_by_concept() -> None:
    forms = [("Heart attack", "D1"), ("Heart attack", "D1"), ("Heart attack", "D2"), ("Infarct", "D1")]
    learned = LearnedSynonyms.of_documents([document(form, (form, i)) for form, i in forms], KNOWN)
    assert learned.counts_of("heart-attack") == {"D1": 2, "D2": 1}
    assert learned.counts_of("heart") == {}
    assert learned.concept_counts == {"D1": 3, "D2": 1}


def test_only_mentions_of_one_known_id_count() -> None:
    documents = [document("a b c", ("a", "D1 D2"), ("b", ""), ("c", "D9"))]
    assert LearnedSynonyms.of_documents(documents, KNOWN).counts == {}


def test_signs_alone_teach_nothing() -> None:
    learned = LearnedSynonyms.of_documents([document("a -- b", ("--", "D1"))], KNOWN)
    assert learned.counts_of("--") == learned.counts_of("+") == {}


def test_abbreviations_are_written_out() -> None:
    learned = LearnedSynonyms.of_documents([document("acute disease (AD) and AD", ("AD", "D1"))], KNOWN)
    assert learned.counts_of("Acute Disease") == {"D1": 1}
    assert learned.counts_of("AD") == {}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    learned = LearnedSynonyms.of_documents([document("β x", ("β", "D1"), ("x", "D2"))] * 2, KNOWN)
    learned.save(tmp_path / "table.tsv")
    assert LearnedSynonyms.load(tmp_path / "table.tsv", KNOWN) == learned
    assert (tmp_path / "table.tsv").read_text().splitlines()[1] == "beta\tD1\t2"


@pytest.mark.parametrize("line", ["x\tD9\t1", "x\tD1", "x\tD1\tmany"])
def test_a_broken_table_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "table.tsv").write_text(f"form\tconcept\tcount\nok\tD1\t1\n{line}\n")
    with pytest.raises(InputError, match="line 3"):
        LearnedSynonyms.load(tmp_path / "table.tsv", KNOWN)
    with pytest.raises(InputError, match="missing"):
        LearnedSynonyms.load(tmp_path / "other.tsv", KNOWN)
