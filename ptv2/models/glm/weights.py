"""The weight names of published GLM checkpoints, in terms of our modules: the one place that knows them.

The published files hold `word_embeddings`, `transformer.layers.{i}.attention.query_key_value` and so on; inside the
hub's head models they stand below `glm.`, which is our prefix too. Queries, keys and values are one matrix there and
three here, so that prompts in hidden form and prompts from the vocabulary work as for any other backbone.
"""

from __future__ import annotations

from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import Chunk, WeightConverter, WeightRenaming

RENAMED = {  # theirs: ours
    "transformer.position_embeddings": "position_table",
    "transformer.block_position_embeddings": "block_table",
    "transformer.final_layernorm": "final_layernorm",
    "transformer.layers": "layers",
    "input_layernorm": "attention.norm",
    "post_attention_layernorm": "mlp.norm",
}
FUSED = "attention.query_key_value"
PARTS = ("attention.query", "attention.key", "attention.value")


def register_names() -> None:
    """Tell transformers how to read these names (and to write them again on saving)."""
    names = [WeightRenaming(theirs, ours) for theirs, ours in RENAMED.items()]
    split = [
        WeightConverter(f"{FUSED}.{kind}", [f"{name}.{kind}" for name in PARTS], [Chunk(dim=0)])
        for kind in ("weight", "bias")
    ]
    register_checkpoint_conversion_mapping("glm-2021", [*names, *split], overwrite=True)
