"""Configuration: its schema, where its files are, how settings become a run, and what names the run."""
