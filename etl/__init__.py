"""DVC stages that bring data from the outside world into clean tables. `el` never imports this package."""
