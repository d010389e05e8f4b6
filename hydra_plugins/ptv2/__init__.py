"""Plugins of Hydra, which looks for them in this namespace at every start: nothing heavy is imported here."""
