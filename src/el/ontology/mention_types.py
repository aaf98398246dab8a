"""What corpora and tools call the types of mentions, by the kind of the concepts that the mentions mean.

A name is listed without its case, blanks, hyphens, underscores and other signs: "ChemicalEntity",
"chemical_entity" and "CHEMICAL-ENTITY" are "chemicalentity". A final s may be added: "Diseases".

Types whose mentions are of several kinds are not listed, so that they are reported: the treatments of i2b2
are drugs and procedures, and the families of CHEMDNER have the same name as those of other corpora.
"""

import functools
import re

CHEMICAL = """
    chemical drug compound medication medicine substance smallmolecule metabolite
    chemicalentity chemicalmixture molecularmixture
    simplechemical drugorcompound aminoacid
    chebi
    drugn brand drugclass activesubstance
    systematic trivial formula iupac cem
    medicationmention medicationstatement
    lipid carbohydrate otherorganiccompound inorganic atom aminoacidmonomer nucleotide
    chem chemicalsanddrugs chemicalsdrugs
    aminoacidpeptideorprotein antibiotic biologicallyactivesubstance biomedicalordentalmaterial
    chemicalviewedfunctionally chemicalviewedstructurally clinicaldrug elementionorisotope enzyme
    hazardousorpoisonoussubstance hormone immunologicfactor indicatorreagentordiagnosticaid
    inorganicchemical nucleicacidnucleosideornucleotide organicchemical pharmacologicsubstance receptor
    vitamin
    aapp antb bacs bodm chvf chvs clnd elii enzy hops horm imft irda inch nnon orch phsu rcpt vita
    t103 t104 t109 t114 t116 t120 t121 t122 t123 t125 t126 t127 t129 t130 t131 t192 t195 t196 t197 t200
"""
"""Chemicals and drugs. By lines:

- names that several corpora and tools share: BC5CDR, PubTator, CHEMDNER, ChemProt, DrugProt, NLM-Chem,
  NLM-Gene, ADE, n2c2 2018, med7, HunFlair, BERN2, scispaCy and Stanza (bc5cdr, bc4chemd), MACCROBAT;
- BioRED and the Biolink model;
- BioNLP shared tasks (CG, PC), MLEE, and the models of scispaCy and Stanza that were trained on them;
- CRAFT, and scispaCy's model of CRAFT;
- the DDI corpus, TAC 2017, and labels of medicines;
- the classes of CHEMDNER that no other corpus uses;
- cTAKES and FHIR;
- GENIA;
- UMLS: the semantic group CHEM, the names of its semantic types, their abbreviations (MetaMap), and their
  numbers (MedMentions).
"""

DISEASE = """
    disease disorder symptom sign diseaseorsyndrome syndrome illness condition diagnosis phenotype
    specificdisease diseaseclass compositemention modifier
    diseaseorphenotypicfeature phenotypicfeature
    cancer
    mondo doid hp hpo
    problem ade adr adverseeffect adverseevent adversedrugevent adversedrugreaction adversereaction sideeffect
    reason indication sslif
    diseasedisorder diseasedisordermention signsymptom signsymptommention signorsymptom signsandsymptoms
    raredisease skinraredisease pharmacodynamicphenotype
    diso disorders
    acquiredabnormality anatomicalabnormality cellormoleculardysfunction congenitalabnormality
    experimentalmodelofdisease finding injuryorpoisoning mentalorbehavioraldysfunction neoplasticprocess
    pathologicfunction
    acab anab comd cgab dsyn emod fndg inpo mobd neop patf sosy
    t019 t020 t033 t037 t046 t047 t048 t049 t050 t184 t190 t191
"""
"""Diseases, symptoms and phenotypes. By lines:

- names that several corpora and tools share: BC5CDR, PubTator, HunFlair, BERN2, scispaCy and Stanza (bc5cdr,
  ncbi_disease), CADEC, Europe PMC, GSC+ of the Human Phenotype Ontology;
- the NCBI Disease corpus;
- BioRED and the Biolink model;
- BioNLP's Cancer Genetics task, and the models of scispaCy and Stanza that were trained on it;
- CRAFT and other ontologies;
- i2b2 2010, n2c2 2018, MADE, ADE, CADEC, PsyTAR and TAC 2017;
- ShARe/CLEF, cTAKES and MACCROBAT;
- RareDis and PGxCorpus;
- UMLS: the semantic group DISO, the names of its semantic types, their abbreviations (MetaMap), and their
  numbers (MedMentions).
"""

OTHER = """
    gene protein geneorgeneproduct genefamily familyname domainmotif genen geney geneandrelatedproduct ggp
    geneprotein genesproteins generef genomicfactor genomicregion genomicvariation
    variant mutation sequencevariant dnamutation proteinmutation snp dnaacidchange proteinacidchange
    dnamodification dnaallele proteinallele acidchange copynumbervariant refseq rsid limitedvariation
    othermutation haplotype
    species organism organismtaxon taxon ncbitaxon genus strain bacteria microorganism virus animal
    chromosome cellline cell celltype cellularcomponent cl celllinename
    dna rna mirna specificmirna nonspecificmirna dnadomainorregion proteinmolecule proteinfamilyorgroup
    proteindomainorregion proteincomplex complex
    anatomy anatomicalsystem organ organtissue tissue multitissuestructure organismsubdivision
    organismsubstance developinganatomicalstructure immaterialanatomicalentity anatomicalsite
    anatomicalsitemention bodypart uberon biologicalstructure anatomymodifier
    go gobp gocc gomf so pr mop geneontology biologicalprocess molecularfunction
    meshindexingchemical
    test procedure proceduremention labvalue diagnosticprocedure therapeuticprocedure dosage strength form
    frequency route duration severity age sex date time person patient norp fac org gpe loc product event
    workofart law language percent money quantity ordinal cardinal
    citation figref tabref
"""
"""Types that are neither chemicals nor diseases. By lines:

- genes and proteins: PubTator, BioRED, GNormPlus, ChemProt, CRAFT, PGxCorpus, Europe PMC;
- variants: PubTator, tmVar, BioRED;
- organisms: PubTator, BioRED, LINNAEUS, S800, BioNLP (Bacteria Biotope), DrugProt;
- cells: PubTator, BioRED, JNLPBA, CRAFT;
- nucleic acids and proteins of JNLPBA, GENIA and the miRNA corpus;
- anatomy: BioNLP (CG), AnatEM, cTAKES, CRAFT, MACCROBAT;
- functions and processes: CRAFT, Europe PMC;
- the indexing terms of NLM-Chem, which have no place in the text;
- clinical notes (i2b2, n2c2, MACCROBAT), and the general models of spaCy;
- what BioC files of articles annotate: citations, references to figures and tables.
"""

# The other semantic types of UMLS (MedMentions).
_SEMANTIC_TYPE = re.compile(r"t\d{3}")
_SIGNS = re.compile(r"[\W_]+")

# Types whose kinds are remembered. A corpus has a few dozen; a larger value takes more memory if a file gives
# each mention another type.
_REMEMBERED = 1024

_KIND_OF_NAME = {
    name: kind
    for kind, names in (("chemical", CHEMICAL), ("disease", DISEASE), ("other", OTHER))
    for name in names.split()
}


@functools.lru_cache(_REMEMBERED)
def kind_of_name(mention_type: str) -> str | None:
    """Returns "chemical", "disease" or "other" for a type that a corpus or a tool is known to use.

    MedMentions gives a mention several semantic types, separated by commas. The first chemical or disease
    among them decides.

    Args:
        mention_type: the type, in any case.

    Returns:
        None for an unknown type, and for "".
    """
    whole = _kind_of_one(mention_type)
    kinds = [whole] if whole else [_kind_of_one(part) for part in mention_type.split(",")]
    if None in kinds:
        return None
    return next((kind for kind in kinds if kind != "other"), "other")


def _kind_of_one(mention_type: str) -> str | None:
    name = _SIGNS.sub("", mention_type.casefold())
    for one in (name, name.removesuffix("s")):
        if one in _KIND_OF_NAME:
            return _KIND_OF_NAME[one]
    return "other" if _SEMANTIC_TYPE.fullmatch(name) else None
