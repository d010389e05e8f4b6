"""The README.md beside an exported adapter: Python that gives the run's scores with PEFT alone.

The tests execute this very code, so what it says is what holds.
"""

from __future__ import annotations

from ptv2.interchange.about import About
from ptv2.interchange.peft_adapter import SEQUENCE, SPAN, TOKENS, Adapter
from ptv2.models.build import PromptedModel
from ptv2.models.checkpoints import EMBEDDED, EMBEDDED_IN

CLASSES = {
    SEQUENCE: "AutoModelForSequenceClassification",
    TOKENS: "AutoModelForTokenClassification",
    SPAN: "AutoModelForQuestionAnswering",
}
# Of an embedded backbone: the repository whose model.safetensors has the same SHA-256.
EMBEDDED_ON_HUB = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}
# (transformers, PEFT): the versions that the tests ran the card's code with.
TRIED = (("5.23.0", "0.21.2"), ("5.24.0", "0.21.2"))
# transformers 5.24 renamed an argument that PEFT 0.21 looks for in the signature, and refuses a model without.
_OLD_NAME_OF_THE_CACHE = """

def with_old_name(forward):
    \"\"\"`forward` that also takes `cache` by its name before transformers 5.24, which PEFT 0.21 insists on.\"\"\"

    def call(*args, past_key_values=None, **kwargs):
        if past_key_values is not None:
            kwargs["cache"] = past_key_values
        return forward(*args, **kwargs)

    return call


for module in (base, base.base_model):
    names = inspect.signature(module.forward).parameters
    if "cache" in names and "past_key_values" not in names:
        module.forward = with_old_name(module.forward)
"""
_OUTPUTS = {"classification": "[B, N]", "choice": "[B, C]", "tagging": "[B, T, N]", "span": "[B, T, 2]"}
_CARD = """---
{metadata}---
# {title}

Exported by ptv2 for PEFT ({peft_type}, {task_type}). {answers}. Texts are put together as ptv2 does it.
{where}

Tried with {tried}.

```python
{code}
```
{record}"""


def card(model: PromptedModel, adapter: Adapter, title: str, labels: list[str], about: About, place: str) -> str:
    """Markdown with code that defines `scores(batch)`, and what there is to know `about` the run.

    Args:
        place: the adapter's repository, or "." for code that runs in the adapter's folder.
    """
    config = adapter.config
    return _CARD.format(
        metadata=about.metadata(hub_id(adapter)),
        title=title,
        peft_type=config["peft_type"],
        task_type=adapter.task_type,
        answers=f"Scores stand for {', '.join(labels)}" if model.spec.kind != "span" else "Scores: start and end",
        where=_where(config["base_model_name_or_path"], adapter),
        tried=", ".join(f"transformers {transformers} and PEFT {peft}" for transformers, peft in TRIED),
        code=code(model, adapter, place),
        record=about.record(),
    )


def hub_id(adapter: Adapter) -> str | None:
    """The backbone's name on the hub; None for one that is a folder."""
    base = str(adapter.config["base_model_name_or_path"])
    if base.startswith(EMBEDDED_IN):
        return EMBEDDED_ON_HUB.get(base.removeprefix(EMBEDDED_IN))
    return base if "path" in adapter.header else None


def _where(base: str, adapter: Adapter) -> str:
    """Where the backbone is to be had; of one in a folder, how to know that it is the right one."""
    if base.startswith(EMBEDDED_IN):
        return f"The backbone is in the package {EMBEDDED[base.removeprefix(EMBEDDED_IN)][0]}."
    if "path" in adapter.header:
        return ""
    sha256 = (adapter.header.get("backbone") or {}).get("sha256")
    return (
        f"The backbone is a folder named {base}, which the code expects beside this file; SHA-256 of its weights: "
        f"{sha256}.\n"
    )


def code(model: PromptedModel, adapter: Adapter, place: str = ".") -> str:
    """Python that loads base and adapter (from `place`) and defines `scores(batch)`."""
    config, kind = adapter.config, model.spec.kind
    outputs = {"choice": 1, "span": 2}.get(kind, model.spec.num_labels)
    name, base = CLASSES[adapter.task_type], config["base_model_name_or_path"]
    load, imported = repr(base), []
    if base.startswith(EMBEDDED_IN):
        package, folder = EMBEDDED[base.removeprefix(EMBEDDED_IN)]
        load, imported = f"files({package!r}) / {folder!r}", ["from importlib.resources import files"]
    revision = f", revision={config['revision']!r}" if config["revision"] else ""
    return "\n".join(
        [
            *(["import inspect"] if adapter.deep else []),
            *imported,
            *([""] if adapter.deep or imported else []),
            "import torch",
            "from peft import PeftModel",
            f"from transformers import {name}",
            "",
            f"base = {name}.from_pretrained(",
            f"    {load}{revision}, num_labels={outputs}, dtype=torch.float32",
            ")",
            *_padding(model),
            *(_OLD_NAME_OF_THE_CACHE.splitlines() if adapter.deep else []),
            f'model = PeftModel.from_pretrained(base, "{place}").eval()',
            "",
            "",
            "@torch.no_grad()",
            "def scores(batch):",
            f'    """{_OUTPUTS[kind]} of input_ids, attention_mask and perhaps token_type_ids, padded on the right."""',
            *(f"    {line}" for line in _body(model, adapter)),
        ]
    )


def _padding(model: PromptedModel) -> list[str]:
    """Decoders without a padding token of their own cannot score batches."""
    return [f"base.config.pad_token_id = {model.config.pad_token_id}"] if model.family.causal else []


def _body(model: PromptedModel, adapter: Adapter) -> list[str]:
    choice, first = model.spec.kind == "choice", 0 if adapter.deep else adapter.length
    lines = ["choices = batch['input_ids'].shape[:2]"] if choice else []
    flat = ".flatten(0, 1)" if choice else ""
    lines += [f"batch = {{name: rows{flat} for name, rows in batch.items()}}"]
    if adapter.deep and model.positions == "unshifted" and model.family.positions != "own":
        lines += _position_ids(model, adapter.length)
    lines += ["output = model(**batch)"]
    if adapter.task_type == SPAN:
        return [*lines, f"return torch.stack((output.start_logits, output.end_logits), -1)[:, {first}:]"]
    if adapter.task_type == SEQUENCE:
        read = "output.logits"
    elif not model.head.pooled:
        read = f"output.logits[:, {first}:]"
    elif model.family.causal:
        lines += ["mask = batch['attention_mask']", "last = mask.shape[1] - 1 - mask.flip(1).argmax(1)"]
        read = f"output.logits[torch.arange(len(mask)), {first} + last]"
    else:
        read = f"output.logits[:, {first}]"
    return [*lines, f"return {read}{'.view(choices)' if choice else ''}"]


def _position_ids(model: PromptedModel, length: int) -> list[str]:
    """Positions as without a prompt, less P, which PEFT adds."""
    lines = ["real = (batch['attention_mask'] != 0).long()"]
    numbered = {
        "arange": f"torch.arange(real.shape[1])[None] - {length}",
        "real": f"(real.cumsum(-1) - 1).clamp(min=0) - {length}",
        "padding": f"real.cumsum(-1) * real + {model.config.pad_token_id} - {length}",
    }[model.family.positions]
    return [*lines, f"batch['position_ids'] = {numbered}"]
