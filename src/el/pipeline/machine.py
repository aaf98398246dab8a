"""Stage: describes the machine. DVC runs it every time, so that timings are repeated on another machine."""

from pathlib import Path

from el.base.cli import run_command
from el.base.files import write_json
from el.benchmark.machine import describe_machine

MACHINE = Path("machine.json")


def main() -> None:
    write_json(MACHINE, describe_machine())


if __name__ == "__main__":
    run_command(main, __doc__)
