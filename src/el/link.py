"""`python -m el.link`: the same as `el link`."""

from el.base.cli import run_command
from el.commands.link import main

if __name__ == "__main__":
    run_command(main)
