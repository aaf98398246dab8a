from dataclasses import replace

import numpy as np
import pytest

from el.linking.query import Query
from el.linking.synonyms import LearnedSynonyms
from el.ontology.ontology import Ontology
from el.pipeline.ablate import SETTINGS, Ablation, Setting, ablation_rows
from tests.el.linking.test_evidence import query
from tests.el.linking.test_synonyms import document
from tests.tiny import tiny_ontology, tiny_ranker


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory) -> Ablation:
    folder, ontology = tmp_path_factory.mktemp("ablation"), tiny_ontology()
    # So few candidates that some concepts are found by spelling or by training mentions alone.
    ranker = tiny_ranker(folder, ontology, 2)
    synonyms = LearnedSynonyms.of_documents([document("skin", ("skin", "D000111"))], ontology)
    return Ablation(ranker, synonyms, mentions(ontology))


def mentions(ontology: Ontology) -> list[Query]:
    """In each of ten documents: a preferred name, another name, an abbreviation, and a learned form."""
    several = next(c for c in ontology if len(c.names) > 1)
    first = next(iter(ontology))
    found = []
    for number in range(10):
        own = [
            query(first.preferred_name, gold=(first.id,)),
            query(several.names[1].text, gold=(several.id,)),
            replace(query("XYZ", gold=(first.id,)), expanded=first.preferred_name),
            query("skin", gold=("D000111",)),
        ]
        found += [replace(q, document_id=f"d{number}") for q in own]
    return found


def accuracy(ablation: Ablation, setting: Setting) -> list[float]:
    return ablation.right(setting).reshape(10, 4).mean(axis=0).tolist()


def test_what_is_left_out_is_missed(ablation: Ablation) -> None:
    linker = accuracy(ablation, Setting("linker"))
    assert linker[:3] == [1.0, 1.0, 1.0]
    assert accuracy(ablation, Setting("learned", ("dictionary", "learned", "types")))[3] == 1.0
    assert linker[3] == 0.0
    assert accuracy(ablation, Setting("no abbreviations", expand=False))[2] < 1.0
    preferred = Setting("preferred names", all_names=False)
    assert accuracy(ablation, preferred)[0] == 1.0
    first = set(ablation.ranker.ontology.first_name.tolist())
    assert all(first.issuperset(own.names.tolist()) for own in ablation.evidence(preferred))
    assert not all(first.issuperset(own.names.tolist()) for own in ablation.evidence(Setting("linker")))


def test_every_setting_has_a_row(ablation: Ablation) -> None:
    unseen = np.array([True, False] * 20)
    rows = ablation_rows(ablation, unseen, samples=50, seed=1)
    assert [row.name for row in rows] == [setting.name for setting in SETTINGS]
    assert (rows[0].difference, rows[0].lo, rows[0].hi) == (0.0, 0.0, 0.0)
    for row in rows:
        assert row.all == pytest.approx((row.seen_form + row.unseen_form) / 2)
        assert row.difference == pytest.approx(row.all - rows[0].all, abs=1e-6)
        assert row.lo <= row.difference <= row.hi
