"""Stage: converts the raw files of MeSH to an ontology folder, and adds outside names.

If MONDO is among the sources of outside names, `equivalents.tsv` gets the ids of OMIM that mean a concept.
"""

from pathlib import Path

from el.base.cli import run_command, say
from el.base.files import clear_temporary_folders, temporary_folder
from el.base.params import load_params
from el.ontology.equivalents import write_equivalents
from el.ontology.mesh import convert_mesh
from el.ontology.ontology import Ontology
from el.ontology.outside import add_outside_names
from el.ontology.outside_files import omim_to_mesh, read_outside
from el.ontology.retired import current_id, load_retired_ids

# How the names of the folders begin that hold MeSH alone while the stage runs.
_CONVERTED = "mesh-"


def main() -> None:
    """Runs the stage for the folder `data.folder` of params.yaml."""
    folder = Path(load_params()["data"]["folder"])
    clear_temporary_folders(folder, _CONVERTED)
    with temporary_folder(folder, _CONVERTED) as made:
        convert_mesh(folder / "raw" / "mesh", made / "mesh")
        outside, ontology = folder / "raw" / "outside", folder / "ontology"
        report = add_outside_names(made / "mesh", read_outside(outside), ontology)
    known, retired = Ontology.load(ontology), load_retired_ids()
    current = {omim: current_id(mesh, known, retired) for omim, mesh in omim_to_mesh(outside).items()}
    equivalents = {omim: mesh for omim, mesh in current.items() if mesh in known}
    if equivalents:
        write_equivalents(ontology, equivalents)
    for line in report.lines():
        say(line)


if __name__ == "__main__":
    run_command(main, __doc__)
