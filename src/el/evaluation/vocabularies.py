"""Which vocabulary an id belongs to, by its prefix or its form.

Ids of one vocabulary can look like those of another: `C011849` is an id of MeSH, `C0011849` one of UMLS.
"""

import re

from el.corpus.fields import MESH_ID

MESH = "MeSH"
NUMBERS = "numeric"
UNKNOWN = "unknown"

# Prefixes in lower case, without the signs `_` and `-`.
_OF_PREFIX = {
    "mesh": MESH,
    "umls": "UMLS",
    "umlscui": "UMLS",
    "cui": "UMLS",
    "omim": "OMIM",
    "mim": "OMIM",
    "omimps": "OMIM phenotypic series",
    "hp": "HP",
    "hpo": "HP",
    "mondo": "MONDO",
    "doid": "DOID",
    "snomed": "SNOMED CT",
    "snomedct": "SNOMED CT",
    "snomedctus": "SNOMED CT",
    "sctid": "SNOMED CT",
    "sct": "SNOMED CT",
    "icd9": "ICD-9",
    "icd9cm": "ICD-9",
    "icd10": "ICD-10",
    "icd10cm": "ICD-10",
    "icd11": "ICD-11",
    "chebi": "ChEBI",
    "orpha": "Orphanet",
    "orphanet": "Orphanet",
    "ordo": "Orphanet",
    "efo": "EFO",
    "ncit": "NCIT",
    "nci": "NCIT",
    "entrez": "Entrez",
    "ncbigene": "Entrez",
    "geneid": "Entrez",
    "gene": "Entrez",
    "ncbitaxon": "NCBI Taxonomy",
    "taxid": "NCBI Taxonomy",
    "species": "NCBI Taxonomy",
    "meddra": "MedDRA",
    "rxnorm": "RxNorm",
    "rxcui": "RxNorm",
    "drugbank": "DrugBank",
    "pubchem": "PubChem",
    "cas": "CAS",
    "hgnc": "HGNC",
    "uniprot": "UniProt",
    "go": "GO",
    "cl": "CL",
    "uberon": "UBERON",
    "cvcl": "Cellosaurus",
    "rsid": "dbSNP",
    "rs": "dbSNP",
}
_PREFIXED = re.compile(r"([A-Za-z][A-Za-z0-9_-]*?)[:_](.+)", re.DOTALL)
_SIGNS = re.compile(r"[_-]")
# Forms of ids without a prefix. The first that fits counts.
_FORMS = (
    (re.compile(MESH_ID), MESH),
    (re.compile(r"C\d{7}"), "UMLS"),
    # Codes of NCIT and KEGG without a prefix. An id of MeSH without its zeros looks the same.
    (re.compile(r"C\d{4}"), "NCIT"),
    (re.compile(r"[CD]\d{5}"), "KEGG"),
    (re.compile(r"DB\d{5}"), "DrugBank"),
    (re.compile(r"RS\d+"), "dbSNP"),
    (re.compile(r"CVCL_[0-9A-Z]{4}"), "Cellosaurus"),
    (re.compile(r"[A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?"), "ICD-10"),
    (re.compile(r"\d+-\d\d-\d"), "CAS"),
    (re.compile(r"\d+"), NUMBERS),
)
_NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)
# The most digits of a number that is compared. Ids of SNOMED CT have up to 18.
_MAX_DIGITS = 30


def vocabulary_of(concept_id: str) -> str:
    """Returns the vocabulary of an id; `UNKNOWN` if neither prefix nor form shows it.

    Case does not count. Numbers without a prefix are `NUMBERS`, because several vocabularies have such ids.
    """
    return _parts(concept_id)[0]


def described(vocabulary: str) -> str:
    """Returns what to call the ids of a vocabulary in a message, such as "UMLS ids"."""
    if vocabulary == NUMBERS:
        return "numbers without a prefix as ids"
    return "ids of an unknown vocabulary" if vocabulary == UNKNOWN else f"{vocabulary} ids"


def spelling_key(concept_id: str) -> tuple[str, int] | None:
    """Returns what all spellings of an id share: its vocabulary, its letters in lower case, and its number.

    "MIM:0123" and "OMIM:123" have the same key, and so have "d003920", "D3920" and "D003920". The latter two
    are not of the same vocabulary by their form alone; see `is_spelling_of`. Returns None for an id that does
    not end in a number.
    """
    vocabulary, local = _parts(concept_id)
    match = _NUMBERED.fullmatch(local)
    # Python's int() refuses numbers of thousands of digits.
    if match is None or not match[2].isascii() or len(match[2]) > _MAX_DIGITS:
        return None
    letters = match[1].lower()
    if letters.endswith("_"):
        letters = f"{letters[:-1]}:"
    # An id of MeSH without its zeros has a form of no vocabulary.
    owner = "" if vocabulary in (MESH, UNKNOWN, NUMBERS) else f"{vocabulary}:"
    return owner + letters, int(match[2])


def is_spelling_of(concept_id: str, known: str) -> bool:
    """Whether an id can only be another spelling of a known id, as far as vocabularies tell."""
    return spelling_key(concept_id) == spelling_key(known) and vocabulary_of(concept_id) in (
        UNKNOWN,
        vocabulary_of(known),
    )


def _parts(concept_id: str) -> tuple[str, str]:
    """Returns the vocabulary of an id, and the id without a prefix that is the vocabulary's name."""
    # Ontologies in OWL have addresses as ids: http://purl.obolibrary.org/obo/HP_0001250.
    local = concept_id.rpartition("/")[2] if concept_id.startswith(("http://", "https://")) else concept_id
    prefixed = _PREFIXED.fullmatch(local)
    if prefixed and (named := _OF_PREFIX.get(_SIGNS.sub("", prefixed[1]).lower())):
        return named, prefixed[2]
    upper = local.upper()
    return next((vocabulary for form, vocabulary in _FORMS if form.fullmatch(upper)), UNKNOWN), local
