"""Stage: converts the raw files of MeSH, XML or tables, to an ontology folder."""

from pathlib import Path

from el.base.cli import run_command
from el.base.params import load_params
from el.ontology.mesh import convert_mesh


def main() -> None:
    """Runs the stage for the folder `data.folder` of params.yaml."""
    folder = Path(load_params()["data"]["folder"])
    convert_mesh(folder / "raw" / "mesh", folder / "ontology")


if __name__ == "__main__":
    run_command(main, __doc__)
