"""Which model types can be used for what, here and in PEFT: the table of docs/reference/model-types.md.

    python scripts/coverage_table.py [--write docs/reference/model-types.md]

Our columns are the facts of `ptv2/models/families.py`, which tests/models/test_coverage.py holds against the models.
PEFT's columns are what its prefix tuning does with the same tiny random models: one training step for each kind of
head, and a text's scores alone and in a padded batch. Needs the `dev` extra.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig

from ptv2.models.families import FAMILIES, facts

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- coverage: scripts/coverage_table.py -->", "<!-- end of coverage -->"
# Column: transformers' class, PEFT's task type (it has none for multiple choice), gradient checkpointing.
PEFT_TRIES = {
    "texts": ("AutoModelForSequenceClassification", "SEQ_CLS", False),
    "tokens": ("AutoModelForTokenClassification", "TOKEN_CLS", False),
    "spans": ("AutoModelForQuestionAnswering", "QUESTION_ANS", False),
    "choices": ("AutoModelForMultipleChoice", "SEQ_CLS", False),
    "checkpointing": ("AutoModelForSequenceClassification", "SEQ_CLS", True),
}
PROMPT_LENGTH = 4
TRIED_WITH = {"PEFT": "peft", "transformers": "transformers", "torch": "torch"}


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or put it between its marks in a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", type=Path, help="the file that has the marks")
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(ROOT / "tests"))  # the tiny models' configurations
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    table = render(
        {name: {column: peft_cell(name, *tried) for column, tried in PEFT_TRIES.items()} for name in FAMILIES}
    )
    table = f"{heading()}\n\n{table}"
    if options.write is None:
        print(table)
        return 0
    before, rest = options.write.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    options.write.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
    return 0


def heading() -> str:
    """What the table was made with: the answers of PEFT differ from version to version."""
    tried = ", ".join(f"{name} {version(package)}" for name, package in TRIED_WITH.items())
    return f"Made with {tried}:"


def render(of_peft: dict[str, dict[str, str]]) -> str:
    """The table in Markdown; `of_peft`: PEFT's cells by model type and column."""
    rows = [
        {**facts(FAMILIES[name]), **{f"PEFT: {column}": cell for column, cell in cells.items()}}
        for name, cells in of_peft.items()
    ]
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def peft_cell(model_type: str, auto_class: str, task_type: str, checkpointing: bool) -> str:
    """What PEFT does with a tiny model: `yes`, or what is wrong in a few words.

    `refused`: PEFT itself says that it cannot; `fails`: an error from deeper down; `no such model`: transformers has
    none.
    """
    from tiny import FAMILY_CONFIGS, tiny_batch

    labels = 2 if task_type == "QUESTION_ANS" else 3  # start and end
    config = AutoConfig.for_model(model_type, **FAMILY_CONFIGS[model_type], num_labels=labels)
    if config.pad_token_id is None:
        config.pad_token_id = 0  # as a user must for decoders
    choice = auto_class == "AutoModelForMultipleChoice"
    batch = tiny_batch(pad=config.pad_token_id, choices=2 if choice else None)
    if task_type == "TOKEN_CLS":
        batch["labels"] = batch["input_ids"] % 3
    if task_type == "QUESTION_ANS":
        del batch["labels"]
        batch |= {"start_positions": torch.tensor([1, 2, 0]), "end_positions": torch.tensor([3, 2, 4])}
    torch.manual_seed(0)
    try:
        base = getattr(transformers, auto_class).from_config(config)
    except ValueError:
        return "no such model"
    try:
        return _try_peft(base, task_type, checkpointing, batch, padded=not choice)
    except ValueError:
        return "refused"
    except Exception as error:  # whatever it is, it is the finding
        return f"fails ({type(error).__name__})"


def _try_peft(base: Any, task_type: str, checkpointing: bool, batch: dict[str, torch.Tensor], padded: bool) -> str:
    from peft import PrefixTuningConfig, get_peft_model

    if checkpointing:
        if not base.supports_gradient_checkpointing:
            return "none in transformers"
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    sizes = {}
    if base.config.model_type == "distilbert":  # PEFT does not know its names of them and asks
        sizes = {"token_dim": base.config.dim, "num_attention_heads": base.config.n_heads}
        sizes["num_layers"] = base.config.n_layers
    prefix = PrefixTuningConfig(task_type=task_type, num_virtual_tokens=PROMPT_LENGTH, **sizes)
    model = get_peft_model(base, prefix).train()
    model(**batch).loss.backward()
    gradients = [p.grad for name, p in model.named_parameters() if "prompt_encoder" in name]
    if not all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients):
        return "prompt has no effect"
    model.eval()
    scores = model(**batch)[1]  # behind the loss
    alone = {name: tensor[1:2, :7] for name, tensor in batch.items() if name in ("input_ids", "attention_mask")}
    row = scores[1] if task_type == "SEQ_CLS" else scores[1, :7]
    if padded and not torch.allclose(model(**alone)[0][0], row, atol=1e-4):
        return "yes, padding leaks"
    return "yes"


if __name__ == "__main__":
    sys.exit(main())
