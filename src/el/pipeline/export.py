"""Command: the learned parts of models/linker, small enough for the repository.

    python -m el.pipeline.export

Writes trained/<data>-<encoder>, which `python -m el.index` makes a linker of. A README.md that stands there
stays.
"""

from el.base.cli import run_command
from el.linking.build import TRAINED, export_trained
from el.pipeline.common import LINKER, Workspace


def main() -> None:
    space = Workspace.here()
    folder = TRAINED / f"{space.params['data']['name']}-{space.params['encoder']['name']}"
    size = export_trained(LINKER, folder)
    print(f"{folder}: {size:,} bytes")


if __name__ == "__main__":
    run_command(main, __doc__)
