"""BitFit: of the backbone only its biases are trained (Ben Zaken et al. 2022, https://aclanthology.org/2022.acl-short.1)."""

from __future__ import annotations

from torch import nn

from ptv2.config.schema import RunConfig
from ptv2.errors import ModelError


def train(backbone: nn.Module, cfg: RunConfig, model_type: str, *beside: nn.Module) -> None:
    """Make `method=bitfit` of a frozen `backbone`; see `train_biases`."""
    train_biases(backbone, model_type, *beside)


def train_biases(backbone: nn.Module, model_type: str, *beside: nn.Module, asked: str = "method=bitfit") -> None:
    """Let the biases of a frozen `backbone`, and of the modules `beside` it, be trained.

    A bias is a parameter named `bias`, or whose name ends so (DeBERTa's `q_bias`, XLNet's `r_w_bias`).

    Args:
        asked: the setting that asks for it.

    Raises:
        ModelError: the backbone has none, as Llama.
    """
    if not _train(backbone):
        raise ModelError(
            f"{asked} trains biases, and a {model_type} backbone has none; expected another method or backbone"
        )
    for module in beside:
        _train(module)


def _train(module: nn.Module) -> int:
    """Let biases be trained; returns how many tensors these are."""
    biases = [p for name, p in module.named_parameters() if name.rpartition(".")[2].rpartition("_")[2] == "bias"]
    for bias in biases:
        bias.requires_grad_(True)
    return len(biases)
