"""Stage: scores the linker on every split and protocol of the parameters.

The systems are:
el_link           the linker without learned synonyms
el_link_learned   the linker with the learned synonyms of the training documents
"""

from el.base.cli import run_command
from el.base.files import atomic_folder
from el.evaluation.run import known_documents
from el.linking.linker import Linker
from el.pipeline.common import LINKER, Workspace
from el.pipeline.scoring import LINKERS, Make, Scoring


def maker(space: Workspace, linker: Linker, learned: bool) -> Make:
    """Returns what makes the linker for a split, with or without learned synonyms."""

    def make(split: str, candidates: set[str] | None) -> Linker:
        documents = known_documents(space.data / "corpus", split) if learned else None
        return linker.restricted(candidates, documents)

    return make


def main() -> None:
    space = Workspace.here()
    scoring, linker = Scoring(space), Linker.load(LINKER)
    for system in LINKERS:
        with atomic_folder(space.evaluation(system)) as out:
            scoring.write(out, system, maker(space, linker, system == "el_link_learned"))
        scoring.write_summary(system)


if __name__ == "__main__":
    run_command(main, __doc__)
