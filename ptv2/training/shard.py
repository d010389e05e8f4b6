"""A frozen backbone spread over processes, what is trained whole on each of them.

torch's `fully_shard` keeps a part of every frozen weight on each process and gathers a layer while it is used; the
gradients of what is trained are averaged by Accelerate as without sharding. Accelerate's own FSDP plugin shards the
trained parameters too and needs a GPU, which is why it is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from ptv2.errors import ConfigError
from ptv2.models.backbones import layers
from ptv2.models.build import PromptedModel

FIRST_TORCH = "2.7"  # whose `fully_shard` can leave parameters whole


def build_spread(build: Callable[[], PromptedModel], shard: bool, accelerator: Accelerator) -> PromptedModel:
    """The model that `build` makes; with `shard` its backbone is spread over the processes, a part on each's device.

    A machine's processes build one after another, so that its memory need not hold several whole checkpoints at once.

    Raises:
        ConfigError: one process, a backbone that is trained as a whole or quantized, or an older torch than it takes.
    """
    if not shard:
        with in_turn(accelerator):
            return build()
    if torch.__version__ < FIRST_TORCH:  # a TorchVersion, which compares as versions do
        raise ConfigError(
            f"trainer.shard=true needs torch {FIRST_TORCH} or later, and this is {torch.__version__}; expected "
            "trainer.shard=false, or a newer torch"
        )
    if accelerator.num_processes == 1:
        raise ConfigError(
            "trainer.shard=true spreads the backbone over processes, and there is one; "
            "start several (torchrun --nproc-per-node N -m ptv2 train ...), or leave it out"
        )
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    with in_turn(accelerator):
        model = build()
        _shard(model, mesh)
    return model


@contextmanager
def in_turn(accelerator: Accelerator) -> Iterator[None]:
    """One process of each machine at a time; whoever fails lets the others go on, to fail for themselves."""
    before = accelerator.local_process_index
    for _ in range(before):
        accelerator.wait_for_everyone()
    try:
        yield
    finally:
        for _ in range(accelerator.num_processes - before):  # in all as often on every machine, however many it has
            accelerator.wait_for_everyone()


def _shard(model: PromptedModel, mesh: DeviceMesh) -> None:
    if model.method.backbone == "all":
        raise ConfigError(
            f"trainer.shard=true spreads frozen weights; method={model.method.name} trains the backbone's; expected "
            "trainer.shard=false"
        )
    if not all(parameter.is_floating_point() for parameter in model.backbone.parameters()):
        raise ConfigError("trainer.shard=true cannot spread a quantized backbone; expected model.quantization=none")
    frozen = {parameter for parameter in model.backbone.parameters() if not parameter.requires_grad}
    whole = {parameter for parameter in model.parameters() if parameter not in frozen}
    options: dict[str, Any] = {"mesh": mesh, "ignored_params": whole, "reshard_after_forward": True}
    for layer in layers(model.backbone, model.config.num_hidden_layers):
        fully_shard(layer, **options)
    # The rest of the backbone (embeddings, last norm) is gathered at the beginning of the model's forward pass.
    fully_shard(model, **options)
    spread = [name for name, parameter in model.named_parameters() if parameter not in whole]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, spread)


def held_bytes(model: nn.Module) -> int:
    """Bytes of the weights that this process holds."""
    held = (p.to_local() if isinstance(p, DTensor) else p for p in model.parameters())
    return sum(tensor.numel() * tensor.element_size() for tensor in held)
