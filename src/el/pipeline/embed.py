"""Stage: encodes all names of the ontology with the aligned tower."""

from el.base.cli import run_command
from el.index.build import build_name_vectors
from el.models.inputs import name_inputs
from el.models.loading import load_model
from el.pipeline.common import RUNS, Workspace


def main() -> None:
    space = Workspace.here()
    ontology = space.ontology
    texts = name_inputs(ontology, space.inputs.definition_characters)
    build_name_vectors(load_model(space.models / "aligned"), ontology, texts, space.aligned_vectors, RUNS)


if __name__ == "__main__":
    run_command(main, __doc__)
