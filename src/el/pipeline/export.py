"""Command: exports the trained parts of models/linker, small enough for the repository.

    python -m el.pipeline.export

Writes src/el/trained/<data>-<encoder>, which ships with the package. `el index` makes a linker from it. A
README.md in that folder is kept.
"""

from el.base.cli import run_command
from el.linking.build import export_trained
from el.linking.places import TRAINED
from el.pipeline.common import LINKER, Workspace


def main() -> None:
    space = Workspace.here()
    folder = TRAINED / f"{space.params['data']['name']}-{space.params['encoder']['name']}"
    size = export_trained(LINKER, folder)
    print(f"{folder}: {size:,} bytes")


if __name__ == "__main__":
    run_command(main, __doc__)
