"""`python -m el.evaluate`: the same as `el evaluate`."""

from el.base.cli import run_command
from el.commands.evaluate import main

if __name__ == "__main__":
    run_command(main)
