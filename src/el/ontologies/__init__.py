"""A user's own ontology: files of several formats, read as concepts."""

from el.ontologies.convert import convert_file, merge_ontologies
from el.ontologies.files import Format, Reading, read_ontology_file

__all__ = ["Format", "Reading", "convert_file", "merge_ontologies", "read_ontology_file"]
