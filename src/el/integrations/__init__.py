"""The linker in other libraries: pandas and spaCy. Each module needs an extra of the same name."""
