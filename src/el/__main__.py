"""`python -m el`: the same as `el`."""

from el.commands.main import console

if __name__ == "__main__":
    console()
