"""Links a text: `python examples/link.py "Acute liver failure after acetaminophen." [LINKER]`.

Needs a linker, made once with `el index` (all of MeSH) or `el index my_terms.csv` (your ontology).
"""

import sys

import el

linker = el.Linker.load(sys.argv[2] if len(sys.argv) > 2 else None)
for mention in linker(sys.argv[1]).mentions:
    score = "" if mention.score is None else f"{mention.score:.3f}"
    print(mention.start, mention.stop, mention.text, mention.type, mention.id, mention.name, score, sep="\t")
