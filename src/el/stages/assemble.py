"""Stage: the winner on dev, the ontology and its vectors, put together as a linker."""

from el.cli import load_section, run_stage
from el.errors import InputError
from el.evaluation.run import known_documents
from el.files import read_json
from el.linker import LinkerConfig, save_linker
from el.models import load_model
from el.stages.common import LINKER, METRICS, Workspace
from el.synonyms import LearnedSynonyms


def winner(space: Workspace) -> str:
    """The system that was chosen on dev.

    Raises:
        InputError: none has been chosen, or one that the parameters do not know.
    """
    path = METRICS / "winner.json"
    chosen = read_json(path)
    system = chosen.get("system") if isinstance(chosen, dict) else None
    if system not in space.trained_systems:
        raise InputError(path, "", f"names no trained system, but {system!r}", "Run the stage choose again")
    return str(system)


def main() -> None:
    space = Workspace.here()
    system = winner(space)
    model = space.finetuned(system)
    # What may be known when test is scored: train and dev.
    documents = known_documents(space.data / "corpus", "test")
    save_linker(
        LINKER,
        model=model,
        ontology=space.data / "ontology",
        vectors=space.vectors(load_model(model)),
        config=load_section(LinkerConfig, space.params, "link"),
        inputs=space.inputs,
        synonyms=LearnedSynonyms.of_documents(documents, space.ontology),
        made_by={
            "system": system,
            "data": space.params["data"]["name"],
            "encoder": space.params["encoder"]["name"],
        },
    )


if __name__ == "__main__":
    run_stage(main, __doc__)
