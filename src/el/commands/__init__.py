"""The commands of `el`: arguments, messages and exit codes."""
