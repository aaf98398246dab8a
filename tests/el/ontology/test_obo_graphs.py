import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from el.base.errors import InputError
from el.ontology import obo_graphs
from el.ontology.files import Reading, read_ontology_file
from el.ontology.ontology import Concept, Name
from tests.el.ontology.strategies import write

OBO, IN_OWL = "http://purl.obolibrary.org/obo/", "http://www.geneontology.org/formats/oboInOwl#"


def node(number: int, label: str | None, **meta: Any) -> dict[str, Any]:
    return {"id": f"{OBO}MX_{number:07}", "lbl": label, "type": "CLASS", "meta": meta, "propertyType": 1}


def synonym(
    text: str | None, scope: str = "Exact", type: str | None = None, start: str = ""
) -> dict[str, Any]:
    return {"pred": f"{start}has{scope}Synonym", "val": text, "synonymType": type, "xrefs": ["X:1"]}


def value(property: str, text: str) -> dict[str, str]:
    return {"pred": property, "val": text}


def document(*nodes: dict[str, Any]) -> dict[str, Any]:
    edge = {"sub": "a", "pred": "is_a", "obj": "b"}
    return {"@context": {}, "graphs": [{"id": f"{OBO}mx.json", "nodes": list(nodes), "edges": [edge] * 3}]}


NODES = (
    node(
        1,
        " elbow\n glow",
        definition={"val": "An elbow that glows.", "xrefs": []},
        synonyms=[
            synonym("glowing elbow"),
            synonym("luminous elbow", start=IN_OWL),
            synonym("joint glow", "Broad"),
            synonym("left elbow glow", "Narrow"),
            synonym("elbow light", "Related"),
            synonym("elbow fire", type=f"{OBO}mx#DEPRECATED"),
            synonym("elbow lamp", type=f"{OBO}OMO_9999999"),
            synonym("elbow &amp; glow", type=f"{OBO}OMO_0003000"),
            synonym(None),
            synonym(" "),
        ],
        basicPropertyValues=[
            value(f"{IN_OWL}hasOBONamespace", "mx_part"),
            value(f"{IN_OWL}hasExactSynonym", "x"),
        ],
    ),
    node(2, "obsolete cough", deprecated=True, basicPropertyValues=[value(f"{OBO}IAO_0100001", "MX:1")]),
    node(3, None, deprecated=True),
    node(4, None),
    node(5, "knee", basicPropertyValues=[value(f"{IN_OWL}id", "KNEE:5")]) | {"type": None},
    node(6, "part of") | {"type": "PROPERTY"},
    node(7, "a patient") | {"type": "INDIVIDUAL"},
    node(8, "hip") | {"meta": None},
    {"id": f"{OBO}OMO_9999999", "lbl": "names to be removed", "type": "PROPERTY"},
)
FOUND = [
    Concept(
        "MX:0000001",
        tuple(map(Name, ("elbow glow", "glowing elbow", "luminous elbow", "elbow & glow", "x"))),
        "disease",
        definition="An elbow that glows.",
    ),
    Concept("KNEE:5", (Name("knee"),), "disease"),
    Concept("MX:0000008", (Name("hip"),), "disease"),
]
NOTES = [
    "2 synonyms marked as deprecated or excluded left out (first: node http://purl.obolibrary.org/obo/MX_0000001)",
    "1 individual skipped",
    "1 class without a label skipped",
    "1 name with character references decoded (first: node http://purl.obolibrary.org/obo/MX_0000001)",
    "2 obsolete concepts skipped (1 with a successor)",
]


def read(path: Path, notes: list[str] | None = None, **changes: Any) -> list[Concept]:
    return list(read_ontology_file(path, Reading(kind="disease", **changes), notes))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["mx.json", "mx.json.gz", "mx.txt", "mx"])
def test_classes(tmp_path: Path, name: str, indent: int | None) -> None:
    notes: list[str] = []
    data = "\ufeff".encode() + json.dumps(document(*NODES), indent=indent).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert read(tmp_path / name, notes) == FOUND
    assert sorted(notes) == sorted(NOTES)


def test_all_synonyms_of_a_namespace(tmp_path: Path) -> None:
    path = write(tmp_path / "mx.json", json.dumps(document(*NODES)))
    (elbow,) = read(path, synonyms="all", namespace="mx_part")
    assert [(name.text, name.relation) for name in elbow.names[3:6]] == [
        ("joint glow", "broader"),
        ("left elbow glow", "narrower"),
        ("elbow light", "related"),
    ]
    assert [concept.id for concept in read(path, namespace="MX")] == ["MX:0000001", "MX:0000008"]


def test_nodes_that_two_graphs_have(tmp_path: Path) -> None:
    notes: list[str] = []
    graphs = [
        document(node(1, "a"))["graphs"][0],
        document(node(1, "a", synonyms=[synonym("b")]))["graphs"][0],
    ]
    path = write(tmp_path / "mx.json", json.dumps({"graphs": graphs}))
    assert [concept.names for concept in read(path, notes)] == [(Name("a"), Name("b"))]
    assert notes == [f"1 repeated id merged with the concept before (first: node {OBO}MX_0000001)"]
    path = write(tmp_path / "mx.json", json.dumps(document(node(1, "a"), node(1, "b"))))
    with pytest.raises(InputError, match=r"the id MX:0000001 is also in node .*, with another name"):
        read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"graphs": []}', "mx.json: holds no concepts"),
        ('{"graphs": [{"nodes": null}]}', "mx.json: holds no concepts"),
        ('{"graphs": {}}', r"not OBO Graphs \(Expected `array`, got `object` - at `\$.graphs`"),
        (
            '{"graphs": [{"nodes": [{"lbl": "a"}]}]}',
            r"missing required field `id` - at `\$.graphs\[0\].nodes\[0\]",
        ),
        (json.dumps(document(node(1, "a"), node(2, 3))), r"got `int` - at `\$.graphs\[0\].nodes\[1\].lbl`"),  # type: ignore[arg-type]
        (json.dumps(document(node(1, "a", synonyms="bc"))), r"got `str` - at `.*nodes\[0\].meta.synonyms`"),
        (json.dumps(document(node(1, "a", deprecated="no"))), r"got `str` - at `.*meta.deprecated`"),
        (json.dumps(document(node(1, "a", synonyms=[synonym(["b"])]))), r"got `array` - at `.*val`"),  # type: ignore[arg-type]
        (json.dumps(document(*NODES))[:-9], r"not JSON in UTF-8 \(Input data was truncated"),
        ('{"graphs": [NaN]}', r"not JSON in UTF-8 \(JSON is malformed"),
        ('{"graphs": [{"nodes": [{"id": "a", "lbl": "\\ud800"}]}]}', "not JSON in UTF-8"),
        ('{"graphs": [{"nodes": ' + "[" * 100_000, "not "),
        (
            json.dumps(document(node(2, "a", deprecated=True))),
            "no concepts are left: 1 obsolete concept skipped",
        ),
        (json.dumps(document(node(2, None))), "no concepts are left: 1 class without a label skipped"),
        (json.dumps(document(node(2, "a") | {"id": "http://x/a b"})), "the id 'a b' cannot be written"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "mx.json", text))


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "mx.json").write_bytes('{"graphs": [{"nodes": [{"id": "a", "lbl": "ä"}]}]}'.encode("latin-1"))
    with pytest.raises(InputError, match="not JSON in UTF-8"):
        read(tmp_path / "mx.json")


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obo_graphs, "_MAX_BYTES", 10_000)
    path = tmp_path / "mx.json.gz"
    path.write_bytes(gzip.compress(b'{"graphs": []' + b" " * 20_000 + b"}"))
    with pytest.raises(InputError, match="has more than 10,000 bytes"):
        read(path, format="obographs")
