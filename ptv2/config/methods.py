"""The methods: what each of them trains, and what follows from that for other code.

A new method is a row here and a file in `conf/method/`; where it trains something of the backbone that no other does,
also a module in `ptv2/models/` with a function `train`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Method:
    """One method. The head is trained by all of them.

    `short` is its name in narrow tables. `prompts` says where prompts are put, `backbone` what of the backbone is
    trained: `all`, or what the function `train` of that module of `ptv2/models/` sees to. `of_paper` methods are those
    that the paper compares on one task; `ptv2 plan` always shows them.
    `several_tasks`: a training on several tasks together comes first. `package`: what must be installed besides ptv2;
    the extra has the same name.
    """

    name: str
    short: str
    prompts: Literal["deep", "shallow"] | None = None
    backbone: str | None = None
    of_paper: bool = False
    several_tasks: bool = False
    package: str | None = None

    @property
    def rate(self) -> Literal["backbone_lr", "prompt_lr", "head_lr"]:
        """The setting of `optim` for the rate of what the method trains; where it is None, `optim.lr` holds."""
        if self.backbone is not None:
            return "backbone_lr"
        return "prompt_lr" if self.prompts is not None else "head_lr"

    def rate_of(self, optim: Mapping[str, Any]) -> tuple[str, float]:
        """The setting of `optim` that holds for what the method trains, and its value."""
        name = self.rate if optim.get(self.rate) is not None else "lr"
        return name, optim[name]

    @property
    def ignored(self) -> frozenset[str]:
        """The sections of a configuration that only other methods use: they change no number of this one."""
        ignored = {"prompt"} if self.prompts is None else set()
        return frozenset(ignored if self.backbone == "lora" else {*ignored, "lora"})

    @property
    def exported(self) -> bool:
        """Whether what the method trains can become an adapter of PEFT."""
        return self.prompts is not None or self.package == "peft"

    @property
    def operations(self) -> int:
        """Operations of a training step for each parameter and token of the backbone.

        2 for the forward pass, 2 for the gradients of hidden states, 2 for the gradients of weights.
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
        Method("lora", "LoRA", backbone="lora", package="peft"),
        Method("ia3", "IA3", backbone="ia3", package="peft"),
        Method("prompt-tuning", "PT", prompts="shallow", of_paper=True),
        Method("p-tuning-v2", "PT-2", prompts="deep", of_paper=True),
        Method(MULTITASK, "MPT-2", prompts="deep", several_tasks=True),
    )
}
