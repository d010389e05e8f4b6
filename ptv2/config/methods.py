"""The methods: what each of them trains, and what follows from that elsewhere.

A new method is a row here and a file in `conf/method/`; where it trains something that no other does, also a module in
`ptv2/models/` that `PromptedModel` asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ptv2.errors import ConfigError, unknown


@dataclass(frozen=True)
class Method:
    """One method. The head is trained by all of them.

    `short` is its name in narrow tables. `prompts` says where prompts are put, `backbone` what of the backbone is
    trained. `of_paper` methods are those that the paper compares on one task; `ptv2 plan` always shows them.
    `several_tasks`: a training on several tasks together comes first.
    """

    name: str
    short: str
    prompts: Literal["deep", "shallow"] | None = None
    backbone: Literal["all", "biases"] | None = None
    of_paper: bool = False
    several_tasks: bool = False

    @property
    def rate(self) -> Literal["backbone_lr", "prompt_lr", "head_lr"]:
        """The setting of `optim` that gives what the method is about a learning rate of its own."""
        if self.backbone is not None:
            return "backbone_lr"
        return "prompt_lr" if self.prompts is not None else "head_lr"

    @property
    def passes(self) -> int:
        """Operations of a training step for each parameter and token: 2 forward, 2 for the gradients of what flows
        through the backbone, 2 for the gradients of its weights.
        """
        if self.backbone == "all":
            return 6
        return 2 if self.prompts is None and self.backbone is None else 4


BASELINE = "fine-tuning"  # what the others are compared with
MULTITASK = "multitask-p-tuning-v2"
# In the order of tables.
METHODS = {
    method.name: method
    for method in (
        Method(BASELINE, "FT", backbone="all", of_paper=True),
        Method("head-only", "HO"),
        Method("bitfit", "BF", backbone="biases"),
        Method("prompt-tuning", "PT", prompts="shallow", of_paper=True),
        Method("p-tuning-v2", "PT-2", prompts="deep", of_paper=True),
        Method(MULTITASK, "MPT-2", prompts="deep", several_tasks=True),
    )
}


def find_method(name: str) -> Method:
    """The row of a method; raises `ConfigError` with the valid names for any other."""
    if name not in METHODS:
        raise ConfigError(unknown("method", name, METHODS))
    return METHODS[name]
