"""The comparison for people: tables, plots, and one HTML page."""
