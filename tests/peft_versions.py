"""What the installed PEFT itself says of prefix tuning with the installed transformers."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from tiny import FAMILY_CONFIGS
from transformers import AutoConfig, AutoModelForSequenceClassification


@cache
def refusal() -> str | None:
    """PEFT's words where it refuses a BERT with a prefix, `None` where it takes it."""
    from peft import PrefixTuningConfig, get_peft_model

    base = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert", **FAMILY_CONFIGS["bert"]))
    try:
        model = get_peft_model(base, PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=2))
        model(input_ids=torch.tensor([[5, 6, 7]]), attention_mask=torch.ones(1, 3, dtype=torch.long))
    except ValueError as error:
        return str(error)
    return None


def skip_where_peft_refuses() -> None:
    """Skip the test that calls this, with PEFT's own words, where PEFT refuses prefix tuning."""
    if words := refusal():
        pytest.skip(f"PEFT: {words}")
