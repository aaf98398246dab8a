"""The commands of `el`: their arguments, help texts, messages and exit codes. The work is done elsewhere."""
