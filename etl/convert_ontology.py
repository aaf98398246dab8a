"""Stage: from the raw MeSH files, as XML or as tables, to an ontology folder."""

from pathlib import Path

from el.base.cli import run_command
from el.base.params import load_params
from el.ontology.mesh import convert_mesh


def main() -> None:
    """Converts the raw files of the data set that params.yaml names."""
    folder = Path(load_params()["data"]["folder"])
    convert_mesh(folder / "raw" / "mesh", folder / "ontology")


if __name__ == "__main__":
    run_command(main, __doc__)
