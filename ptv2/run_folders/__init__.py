"""Folders of runs: their names, records, logs and locks."""
