"""Encoded sets of random tokens for tiny models, and the accelerator that goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from accelerate import Accelerator
from tiny import VOCABULARY

from ptv2.config.schema import TrainerConfig
from ptv2.data.encode import TextSet
from ptv2.data.tokens import Tokens
from ptv2.training.device import make_accelerator

LENGTHS = (5, 9, 2, 7, 3, 9)


def tokens(lengths: Sequence[int] = LENGTHS, pad: int = 0) -> Tokens:
    """Random sequences of these lengths, without special tokens."""
    ids = np.random.default_rng(0).integers(5, VOCABULARY, sum(lengths)).astype(np.int32)
    return Tokens(ids, None, np.cumsum([0, *lengths]), pad)


def texts(lengths: Sequence[int] = LENGTHS, width: int = 1, pad: int = 0) -> TextSet:
    """Labelled examples of `width` sequences each, with labels 0, 1, 2, 0, ... below the number of choices."""
    count = len(lengths) // width
    return TextSet(tokens(lengths, pad), np.arange(count) % (3 if width == 1 else width), width, 0)


@cache
def accelerator() -> Accelerator:
    return make_accelerator(TrainerConfig(device="cpu"))
