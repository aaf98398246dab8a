"""Makes a linker of an ontology of your own and links a text with it; nothing is trained.

Run `python examples/own_ontology.py FOLDER`. The linker goes to FOLDER/linker and stays there.
"""

import sys
from pathlib import Path

import el
from el.linking.build import build_linker
from el.linking.places import default_trained_parts
from el.ontology.ontology import Concept, Name, Ontology

folder = Path(sys.argv[1])
Ontology.from_concepts(
    [
        Concept("HOSP-1", (Name("glowing elbow syndrome"), Name("elbow that glows")), "disease"),
        Concept("HOSP-2", (Name("wobbly knee"), Name("knee wobble")), "disease"),
        Concept("HOSP-3", (Name("sparkle acid"),), "chemical"),
    ]
).save(folder / "ontology")
if not (folder / "linker").exists():
    build_linker(default_trained_parts(), folder / "ontology", folder / "linker", folder / "scratch")

linker = el.Linker.load(folder / "linker")
for mention in linker("Sparkle acid is given for an elbow that glows.").mentions:
    print(mention.text, mention.id, mention.name, sep="\t")
