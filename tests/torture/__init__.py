"""Campaigns that look for what is not thought of: `make torture`; see CONTRIBUTING.md."""
