"""`python -m el.bench`: the same as `el bench`."""

from el.base.cli import run_command
from el.commands.bench import main

if __name__ == "__main__":
    run_command(main)
