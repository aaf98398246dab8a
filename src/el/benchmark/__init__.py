"""Measures how long systems take to link mentions, and what their approximate search costs in accuracy."""
