"""`python -m el.index`: the same as `el index`."""

from el.base.cli import run_command
from el.commands.index import main

if __name__ == "__main__":
    run_command(main)
