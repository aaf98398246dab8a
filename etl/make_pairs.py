"""Stage: makes contrastive pairs (JSON lines) of mentions and names of the ontology."""

from pathlib import Path

from el.base.cli import run_command
from el.base.params import load_params, load_section
from el.models.inputs import InputVariant
from el.training.make_pairs import PairsConfig, make_pairs


def main() -> None:
    """Runs the stage with the sections `pairs` and `inputs` of params.yaml."""
    params = load_params()
    folder = Path(params["data"]["folder"])
    make_pairs(
        folder / "ontology",
        folder / "corpus",
        load_section(PairsConfig, params, "pairs"),
        load_section(InputVariant, params, "inputs"),
        folder / "pairs",
    )


if __name__ == "__main__":
    run_command(main, __doc__)
