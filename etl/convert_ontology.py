"""Stage: converts the raw files of MeSH to an ontology folder, and adds outside names."""

from pathlib import Path

from el.base.cli import run_command, say
from el.base.files import clear_temporary_folders, temporary_folder
from el.base.params import load_params
from el.ontology.mesh import convert_mesh
from el.ontology.outside import add_outside_names
from el.ontology.outside_sources import read_outside

# How the names of the folders begin that hold MeSH alone while the stage runs.
_CONVERTED = "mesh-"


def main() -> None:
    """Runs the stage for the folder `data.folder` of params.yaml."""
    folder = Path(load_params()["data"]["folder"])
    clear_temporary_folders(folder, _CONVERTED)
    with temporary_folder(folder, _CONVERTED) as made:
        convert_mesh(folder / "raw" / "mesh", made / "mesh")
        report = add_outside_names(
            made / "mesh", read_outside(folder / "raw" / "outside"), folder / "ontology"
        )
    for line in report.lines():
        say(line)


if __name__ == "__main__":
    run_command(main, __doc__)
