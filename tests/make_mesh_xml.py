"""Writes made-up MeSH XML files of any size, laid out like NLM's, to measure memory and time on.

python -m tests.make_mesh_xml --out FOLDER --descriptors 30000 --supplementary 320000

gives files of NLM's size: about 300 MB of descriptors and 700 MB of supplementary records. The same
arguments give the same files.
"""

import argparse
import random
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

_DTD = "https://www.nlm.nih.gov/databases/dtd"
_SYLLABLES = [
    "ab",
    "cor",
    "dex",
    "fen",
    "gli",
    "hy",
    "lo",
    "mab",
    "nib",
    "ol",
    "pra",
    "qui",
    "sta",
    "tin",
    "zo",
]
_QUALIFIERS = [
    "administration &amp; dosage",
    "adverse effects",
    "analysis",
    "blood",
    "metabolism",
    "toxicity",
]
_TREES = ["A01", "B03", "C04", "C16", "D02", "D12", "E05", "F03", "G07"]
_TAGS = ["NON", "NON", "NON", "ABB", "ACR", "EPO", "LAB", "NAM", "TRD"]


def make_mesh_xml(folder: Path, descriptors: int, supplementary: int, seed: int = 0) -> tuple[Path, Path]:
    """Writes desc2099.xml and supp2099.xml into `folder`, which must exist.

    Args:
        folder: where to write.
        descriptors: the number of descriptor records, about 10 kB each.
        supplementary: the number of supplementary records, about 2.1 kB each.
        seed: of the random names and structure.

    Returns:
        The paths of the two files.
    """
    maker = _Maker(random.Random(seed), descriptors)
    desc, supp = folder / "desc2099.xml", folder / "supp2099.xml"
    _write(desc, "DescriptorRecordSet", "nlmdescriptorrecordset_20990101.dtd", maker.descriptor, descriptors)
    _write(
        supp, "SupplementalRecordSet", "nlmsupplementalrecordset_20990101.dtd", maker.record, supplementary
    )
    return desc, supp


def _write(path: Path, root: str, dtd: str, record: Callable[[int], str], count: int) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(f'<?xml version="1.0"?>\n<!DOCTYPE {root} SYSTEM "{_DTD}/{dtd}">\n')
        stream.write(f'<{root} LanguageCode="eng">\n')
        _write_records(stream, record, count)
        stream.write(f"</{root}>\n")


def _write_records(stream: TextIO, record: Callable[[int], str], count: int) -> None:
    for number in range(1, count + 1):
        stream.write(record(number))


class _Maker:
    """Makes records; what they refer to exists, and no two records share a name."""

    def __init__(self, random_: random.Random, descriptors: int) -> None:
        self._random = random_
        self._descriptors = descriptors
        self._terms = 0

    def descriptor(self, number: int) -> str:
        name = self._name(number)
        position = f"{number // 1000:03}.{number % 1000:03}"
        trees = "".join(
            f"   <TreeNumber>{tree}.{position}</TreeNumber>\n"
            for tree in self._random.sample(_TREES, self._random.randint(1, 3))
        )
        return (
            f'<DescriptorRecord DescriptorClass = "1">\n  <DescriptorUI>D{number:06}</DescriptorUI>\n'
            f"  <DescriptorName>\n   <String>{name}</String>\n  </DescriptorName>\n"
            f"{self._dates()}{self._allowable_qualifiers()}"
            f"  <Annotation>{self._prose(25)}\n  </Annotation>\n"
            f"  <HistoryNote>{self._prose(8)}\n  </HistoryNote>\n"
            f"  <PreviousIndexingList>\n{self._previous_indexing(3)}  </PreviousIndexingList>\n"
            f"  <PharmacologicalActionList>\n{self._actions(3)}  </PharmacologicalActionList>\n"
            f"  <TreeNumberList>\n{trees}  </TreeNumberList>\n"
            f"{self._concept_list(number, name, concepts=3, terms=4, note_words=60)}"
            "</DescriptorRecord>\n"
        )

    def record(self, number: int) -> str:
        name = self._name(10_000_000 + number)
        headings = "".join(
            f"   <HeadingMappedTo>\n    <DescriptorReferredTo>\n     <DescriptorUI>{star}{self._heading()}"
            "</DescriptorUI>\n     <DescriptorName>\n      <String>heading</String>\n     </DescriptorName>\n"
            "    </DescriptorReferredTo>\n   </HeadingMappedTo>\n"
            for star in ("*", "")
        )
        return (
            f'<SupplementalRecord SCRClass = "{self._random.choice("1111346")}">\n'
            f"  <SupplementalRecordUI>C{number:09}</SupplementalRecordUI>\n"
            f"  <SupplementalRecordName>\n   <String>{name}</String>\n  </SupplementalRecordName>\n"
            f"{self._dates()}"
            f"  <Note>{self._prose(6)}\n  </Note>\n  <Frequency>{self._random.randint(1, 99)}</Frequency>\n"
            f"  <HeadingMappedToList>\n{headings}  </HeadingMappedToList>\n"
            f"  <SourceList>\n   <Source>{self._prose(6)}</Source>\n  </SourceList>\n"
            f"{self._concept_list(10_000_000 + number, name, concepts=1, terms=2, note_words=0)}"
            "</SupplementalRecord>\n"
        )

    def _concept_list(self, number: int, name: str, concepts: int, terms: int, note_words: int) -> str:
        ids = [f"M{number:08}{index}" for index in range(concepts)]
        codes = [self._random.choice(["NRW", "BRD", "REL"]) for _ in ids]
        relations = [
            f'     <ConceptRelation RelationName="{code}">\n      <Concept1UI>{ids[0]}</Concept1UI>\n'
            f"      <Concept2UI>{concept_id}</Concept2UI>\n     </ConceptRelation>\n"
            for concept_id, code in zip(ids[1:], codes[1:], strict=True)
        ]
        parts = []
        for index, concept_id in enumerate(ids):
            own_relations = relations if index == 0 else relations[index - 1 : index]
            preferred = "Y" if index == 0 else "N"
            concept_name = name if index == 0 else f"{name} variant {index}"
            scope = (
                f"    <ScopeNote>{self._prose(note_words)}\n    </ScopeNote>\n"
                if index == 0 and note_words
                else ""
            )
            listed = "".join(own_relations)
            listed = f"    <ConceptRelationList>\n{listed}    </ConceptRelationList>\n" if listed else ""
            own_terms = "".join(self._term(concept_name, number_) for number_ in range(terms))
            parts.append(
                f'   <Concept PreferredConceptYN="{preferred}">\n    <ConceptUI>{concept_id}</ConceptUI>\n'
                f"    <ConceptName>\n     <String>{concept_name}</String>\n    </ConceptName>\n"
                f"    <RegistryNumber>0</RegistryNumber>\n{scope}{listed}"
                f"    <TermList>\n{own_terms}    </TermList>\n   </Concept>\n"
            )
        return f"  <ConceptList>\n{''.join(parts)}  </ConceptList>\n"

    def _term(self, concept_name: str, number: int) -> str:
        self._terms += 1
        first = "Y" if number == 0 else "N"
        text = concept_name if number == 0 else f"{concept_name} {self._word()} {number}"
        return (
            f'     <Term ConceptPreferredTermYN="{first}" IsPermutedTermYN="N" '
            f'LexicalTag="{self._random.choice(_TAGS)}" RecordPreferredTermYN="{first}">\n'
            f"      <TermUI>T{self._terms:09}</TermUI>\n      <String>{text}</String>\n"
            "      <DateCreated>\n       <Year>1999</Year>\n       <Month>01</Month>\n       <Day>01</Day>\n"
            "      </DateCreated>\n      <ThesaurusIDlist>\n       <ThesaurusID>NLM (1999)</ThesaurusID>\n"
            "      </ThesaurusIDlist>\n     </Term>\n"
        )

    def _dates(self) -> str:
        return "".join(
            f"  <{tag}>\n   <Year>{self._random.randint(1966, 2024)}</Year>\n   <Month>01</Month>\n"
            f"   <Day>01</Day>\n  </{tag}>\n"
            for tag in ("DateCreated", "DateRevised")
        )

    def _allowable_qualifiers(self) -> str:
        qualifiers = "".join(
            "   <AllowableQualifier>\n    <QualifierReferredTo>\n"
            f"     <QualifierUI>Q{index:06}</QualifierUI>\n"
            f"     <QualifierName>\n      <String>{text}</String>\n     </QualifierName>\n"
            "    </QualifierReferredTo>\n    <Abbreviation>AA</Abbreviation>\n   </AllowableQualifier>\n"
            for index, text in enumerate(_QUALIFIERS)
        )
        return f"  <AllowableQualifiersList>\n{qualifiers}  </AllowableQualifiersList>\n"

    def _previous_indexing(self, count: int) -> str:
        return "".join(f"   <PreviousIndexing>{self._prose(3)}</PreviousIndexing>\n" for _ in range(count))

    def _actions(self, count: int) -> str:
        return "".join(
            f"   <PharmacologicalAction>\n    <DescriptorReferredTo>\n     <DescriptorUI>{self._heading()}"
            "</DescriptorUI>\n     <DescriptorName>\n      <String>action</String>\n     </DescriptorName>\n"
            "    </DescriptorReferredTo>\n   </PharmacologicalAction>\n"
            for _ in range(count)
        )

    def _heading(self) -> str:
        return f"D{self._random.randint(1, self._descriptors):06}"

    def _name(self, number: int) -> str:
        return f"{self._word()}-{number}"

    def _prose(self, words: int) -> str:
        return " ".join(self._word() for _ in range(words))

    def _word(self) -> str:
        return "".join(self._random.choices(_SYLLABLES, k=3))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--descriptors", type=int, default=30_000)
    parser.add_argument("--supplementary", type=int, default=320_000)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    make_mesh_xml(arguments.out, arguments.descriptors, arguments.supplementary)


if __name__ == "__main__":
    main()
