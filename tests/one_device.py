"""A device without contents in the place of a GPU: what mixes it with the CPU is refused, as a GPU would."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ELSEWHERE = torch.device("meta")
COPY_INTO = torch.ops.aten.copy_.default


class OneDevice(TorchDispatchMode):
    """Refuses operations on tensors of two devices, but for copies and numbers (`torch` itself does so on a GPU)."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.dim()]
        mixed = len({tensor.device for tensor in tensors}) > 1
        if mixed and function is COPY_INTO:
            return args[0]  # there are no contents to copy
        if mixed:
            raise RuntimeError(f"{function}: expected all tensors to be on the same device")
        return function(*args, **(kwargs or {}))
