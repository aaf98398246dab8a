import gzip
import re
from pathlib import Path

import pytest

from el.base.errors import InputError
from el.ontology.mesh_xml import read_descriptors, read_supplementary
from el.ontology.ontology import Concept, Name

DOCTYPE = (
    '<?xml version="1.0"?>\n<!DOCTYPE DescriptorRecordSet SYSTEM '
    '"https://www.nlm.nih.gov/databases/dtd/nlmdescriptorrecordset_20990101.dtd">\n'
)


def term(text: str, tag: str = "NON") -> str:
    return f'<Term LexicalTag="{tag}"><TermUI>T1</TermUI><String>{text}</String></Term>'


def concept(concept_id: str, *parts: str, preferred: bool = False) -> str:
    terms = "".join(part for part in parts if part.startswith("<Term"))
    rest = "".join(part for part in parts if not part.startswith("<Term"))
    flag = "Y" if preferred else "N"
    return (
        f'<Concept PreferredConceptYN="{flag}"><ConceptUI>{concept_id}</ConceptUI>'
        f"{rest}<TermList>{terms}</TermList></Concept>"
    )


def relations(*triples: tuple[str, str, str]) -> str:
    listed = "".join(
        f'<ConceptRelation RelationName="{code}"><Concept1UI>{first}</Concept1UI>'
        f"<Concept2UI>{second}</Concept2UI></ConceptRelation>"
        for first, code, second in triples
    )
    return f"<ConceptRelationList>{listed}</ConceptRelationList>"


def descriptor(
    concept_id: str, name: str, *concepts: str, trees: tuple[str, ...] = (), record_class: str = "1"
) -> str:
    numbers = "".join(f"<TreeNumber>{number}</TreeNumber>" for number in trees)
    return (
        f'<DescriptorRecord DescriptorClass="{record_class}"><DescriptorUI>{concept_id}</DescriptorUI>'
        f"<DescriptorName><String>{name}</String></DescriptorName>"
        f"<TreeNumberList>{numbers}</TreeNumberList>"
        f"<ConceptList>{''.join(concepts)}</ConceptList></DescriptorRecord>\n"
    )


def supplementary(concept_id: str, name: str, record_class: str, *headings: str) -> str:
    mapped = "".join(
        f"<HeadingMappedTo><DescriptorReferredTo><DescriptorUI>{heading}</DescriptorUI>"
        "<DescriptorName><String>heading</String></DescriptorName></DescriptorReferredTo></HeadingMappedTo>"
        for heading in headings
    )
    return (
        f'<SupplementalRecord SCRClass="{record_class}">'
        f"<SupplementalRecordUI>{concept_id}</SupplementalRecordUI>"
        f"<SupplementalRecordName><String>{name}</String></SupplementalRecordName>"
        f"<HeadingMappedToList>{mapped}</HeadingMappedToList>"
        f"<ConceptList>{concept('M1', term(name), preferred=True)}</ConceptList></SupplementalRecord>\n"
    )


def write_desc(folder: Path, *records: str, head: str = DOCTYPE) -> Path:
    path = folder / "desc2099.xml"
    path.write_text(f"{head}<DescriptorRecordSet>\n{''.join(records)}</DescriptorRecordSet>\n", "utf-8")
    return path


def write_supp(folder: Path, *records: str) -> Path:
    path = folder / "supp2099.xml"
    path.write_text(f"<SupplementalRecordSet>\n{''.join(records)}</SupplementalRecordSet>\n", "utf-8")
    return path


CALCIMYCIN = descriptor(
    "D000001",
    "Calcimycin",
    concept("M2", term("A-23187", "LAB"), term("calcimycin", "NON")),
    concept(
        "M1",
        "<ScopeNote>An ionophorous\n   antibiotic.\n   </ScopeNote>",
        relations(("M1", "NRW", "M2")),
        term("Antibiotic A23187", "TRD"),
        term("Calcimycin", "NON"),
        preferred=True,
    ),
    trees=("D03.633", "D04.345"),
)


def test_descriptor(tmp_path: Path) -> None:
    assert list(read_descriptors(write_desc(tmp_path, CALCIMYCIN))) == [
        Concept(
            id="D000001",
            names=(
                Name("Calcimycin", "preferred"),
                Name("Antibiotic A23187", "preferred"),
                Name("A-23187", "narrower"),
                Name("calcimycin", "narrower"),
            ),
            kind="chemical",
            record="descriptor",
            definition="An ionophorous antibiotic.",
            tree_numbers=("D03.633", "D04.345"),
        )
    ]


@pytest.mark.parametrize(
    ("listed", "relation"),
    [
        ([("M1", "NRW", "M2")], "narrower"),
        ([("M1", "BRD", "M2")], "broader"),
        ([("M1", "REL", "M2")], "related"),
        ([("M2", "NRW", "M1")], "broader"),
        ([("M2", "BRD", "M1")], "narrower"),
        ([("M2", "REL", "M1")], "related"),
        ([("M3", "NRW", "M2")], "related"),
        ([], "related"),
    ],
)
@pytest.mark.parametrize("in_preferred", [True, False])
def test_relation(
    tmp_path: Path, listed: list[tuple[str, str, str]], relation: str, in_preferred: bool
) -> None:
    """A relation counts wherever it is listed, and is turned round if the preferred concept comes second."""
    listing = relations(*listed)
    record = descriptor(
        "D1",
        "one",
        concept("M1", listing if in_preferred else "", term("one"), preferred=True),
        concept("M2", "" if in_preferred else listing, term("two")),
    )
    [found] = read_descriptors(write_desc(tmp_path, record))
    assert found.names[1] == Name("two", relation)


def test_repeated_name_is_kept_once_with_the_nearest_relation(tmp_path: Path) -> None:
    record = descriptor(
        "D1",
        "one",
        concept("M2", term("same", "ABB"), term("two"), term("two")),
        concept("M1", relations(("M1", "NRW", "M2")), term("one"), term("same", "NON"), preferred=True),
    )
    [found] = read_descriptors(write_desc(tmp_path, record))
    assert found.names == (
        Name("one", "preferred"),
        Name("same", "preferred"),
        Name("two", "narrower"),
    )


def test_name_that_no_term_carries(tmp_path: Path) -> None:
    record = descriptor("D1", "one", concept("M1", term("two"), preferred=True))
    [found] = read_descriptors(write_desc(tmp_path, record))
    assert found.names == (Name("one"), Name("two", "preferred"))


def test_escaped_and_non_ascii_names(tmp_path: Path) -> None:
    record = descriptor("D1", "α &amp; β &lt;γ&gt; &#916;", concept("M1", preferred=True))
    [found] = read_descriptors(write_desc(tmp_path, record))
    assert found.preferred_name == "α & β <γ> Δ"


@pytest.mark.parametrize(
    ("record_class", "kind"),
    [("1", "chemical"), ("2", "chemical"), ("3", "disease"), ("4", "other"), ("5", "other"), ("6", "other")],
)
def test_supplementary_class(tmp_path: Path, record_class: str, kind: str) -> None:
    path = write_supp(tmp_path, supplementary("C000002", "bevonium", record_class, "*D001561", "D000117"))
    assert list(read_supplementary(path, {"D001561": "other"})) == [
        Concept(
            id="C000002",
            names=(Name("bevonium", "preferred"),),
            kind=kind,
            record="supplementary",
            mapped_to=("D001561", "D000117"),
        )
    ]


def test_heading_mapped_to_twice(tmp_path: Path) -> None:
    path = write_supp(tmp_path, supplementary("C1", "one", "1", "*D1", "D2", "D1"))
    assert next(read_supplementary(path, {})).mapped_to == ("D1", "D2")


def test_supplementary_without_known_class(tmp_path: Path) -> None:
    path = write_supp(tmp_path, supplementary("C1", "one", "", "*D1", "D2", "D404"))
    assert next(read_supplementary(path, {"D1": "disease", "D2": "chemical"})).kind == "disease"


def test_gzip_and_plain_give_the_same(tmp_path: Path) -> None:
    plain = write_desc(tmp_path, CALCIMYCIN)
    zipped = tmp_path / "desc2099.xml.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    assert list(read_descriptors(zipped)) == list(read_descriptors(plain))


def test_doctype_is_not_needed(tmp_path: Path) -> None:
    with_doctype = list(read_descriptors(write_desc(tmp_path, CALCIMYCIN)))
    assert list(read_descriptors(write_desc(tmp_path, CALCIMYCIN, head=""))) == with_doctype


def test_external_dtd_is_not_loaded(tmp_path: Path) -> None:
    """A DTD beside the file would be found if anything looked for it; this one would be an error."""
    (tmp_path / "mesh.dtd").write_text("<!ELEMENT broken")
    head = '<!DOCTYPE DescriptorRecordSet SYSTEM "mesh.dtd">'
    assert len(list(read_descriptors(write_desc(tmp_path, CALCIMYCIN, head=head)))) == 1


@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">',
        '<!ENTITY secret SYSTEM "secret.txt">',
        '<!ENTITY % outside SYSTEM "outside.dtd"> %outside;',
    ],
    ids=["laughs", "external", "parameter"],
)
def test_declared_entities_are_refused(tmp_path: Path, declaration: str) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "outside.dtd").write_text('<!ENTITY b "from outside">')
    head = f"<!DOCTYPE DescriptorRecordSet [{declaration}]>"
    path = write_desc(tmp_path, CALCIMYCIN, head=head)
    with pytest.raises(InputError, match=r"desc2099\.xml: declares entities"):
        list(read_descriptors(path))


def test_cut_file(tmp_path: Path) -> None:
    path = write_desc(tmp_path, CALCIMYCIN, CALCIMYCIN)
    whole = path.read_text("utf-8")
    path.write_text(whole[: whole.rindex("<ScopeNote>")], "utf-8")
    with pytest.raises(InputError, match=r"desc2099\.xml: line 7: broken or cut XML.*Fetch the file again"):
        list(read_descriptors(path))


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    path = write_desc(tmp_path, CALCIMYCIN)
    whole = path.read_bytes().rstrip()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=re.escape(str(path))):
            list(read_descriptors(path))


def test_cut_gzip(tmp_path: Path) -> None:
    path = tmp_path / "desc2099.xml.gz"
    whole = gzip.compress(write_desc(tmp_path, CALCIMYCIN).read_bytes())
    for end in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=re.escape(str(path))):
            list(read_descriptors(path))


def test_not_gzip(tmp_path: Path) -> None:
    path = tmp_path / "desc2099.xml.gz"
    path.write_text("<html>Not found</html>")
    with pytest.raises(InputError, match="cannot be read to its end"):
        list(read_descriptors(path))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        list(read_descriptors(tmp_path / "desc2099.xml"))


def test_wrong_root(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="root element is SupplementalRecordSet, not DescriptorRecordSet"):
        list(read_descriptors(write_supp(tmp_path)))
    with pytest.raises(InputError, match="root element is DescriptorRecordSet, not SupplementalRecordSet"):
        list(read_supplementary(write_desc(tmp_path), {}))


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (descriptor("", "one", concept("M1", preferred=True)), "no DescriptorUI"),
        (descriptor("D1", " \n ", concept("M1", preferred=True)), "no DescriptorName/String"),
        (descriptor("D1", "one", concept("M1")), "no preferred concept"),
    ],
)
def test_incomplete_descriptor(tmp_path: Path, record: str, problem: str) -> None:
    with pytest.raises(InputError, match=f"record 2: {problem}"):
        list(read_descriptors(write_desc(tmp_path, CALCIMYCIN, record)))


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (supplementary("", "one", "1"), "no SupplementalRecordUI"),
        (supplementary("C1", "", "1"), "no SupplementalRecordName/String"),
    ],
)
def test_incomplete_supplementary(tmp_path: Path, record: str, problem: str) -> None:
    with pytest.raises(InputError, match=f"record 1: {problem}"):
        list(read_supplementary(write_supp(tmp_path, record), {}))
