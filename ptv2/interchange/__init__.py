"""Adapters of PEFT: runs exported as such, and such imported as runs."""
