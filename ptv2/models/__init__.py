"""Backbones with prompts and heads."""
