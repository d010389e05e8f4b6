"""ptv2: deep prompts, shallow prompts and fine-tuning on the same task, backbone and trainer."""

from importlib import metadata

__version__ = metadata.version("ptv2")
