"""How long systems take to link by name, and what that costs in accuracy."""
