"""Figures of several runs: their description, jobs, points and files."""
