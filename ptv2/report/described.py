"""The settings of runs in a few words, with how long they really trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ptv2.config.methods import METHODS
from ptv2.config.schema import LoraConfig, PromptConfig, TrainerConfig
from ptv2.report.folds import folds_of
from ptv2.report.formats import count_of
from ptv2.run_folders.record import Result


def describe_settings(group: Sequence[Result]) -> str:
    """Describe what tells these runs from others in a table.

    Args:
        group: runs that differ in nothing but the seed.
    """
    result = group[0]
    config = result.config
    method = METHODS[result.method]
    _, rate = method.rate_of(config["optim"])
    words = [f"lr {rate:g}", describe_length(group)]
    if method.prompts is not None:
        words = [f"P {config['prompt']['length']}", *words, *_describe_prompt(config["prompt"], method.prompts)]
    if method.backbone == "lora":
        words = [*_describe_lora(config["lora"]), *words]
    if (dropout := config["model"]["hidden_dropout"]) is not None:
        words.append(f"dropout {dropout:g}")
    if (size := config["trainer"]["batch_size"]) != TrainerConfig.model_fields["batch_size"].default:
        words.append(f"batch {size}")
    if shared := config.get("multitask"):
        names = "+".join(entry["task"]["name"] for entry in shared["tasks"])
        rate = shared["prompt_lr"] or shared["lr"]
        words.append(f"after {names} (lr {rate:g}, {shared['epochs']} epochs, T {shared['temperature']:g})")
    if (head_rate := config["optim"]["head_lr"]) and method.rate != "head_lr":
        words.append(f"head lr {head_rate:g}")
    if config["head"].get("kind") == "verbalizer":
        words.append("verbalizer")
    if folds := folds_of(result):
        words.append(f"{folds} folds")
    if config["trainer"]["precision"] != "fp32":
        words.append(config["trainer"]["precision"])
    return ", ".join(words)


def _describe_prompt(prompt: Mapping[str, Any], kind: str) -> list[str]:
    """What is unusual about prompts of a kind (deep, shallow), of what that kind uses."""
    usual = PromptConfig()
    keys = ("layers", "form", "reparameterization", "positions") if kind == "deep" else ("reparameterization",)
    words = [str(prompt[key]) for key in keys if prompt[key] != getattr(usual, key)]
    words += [f"{prompt['init']} init"] if prompt["init"] != usual.init else []
    if kind == "deep" and prompt["dropout"] != usual.dropout:
        words.append(f"prompt dropout {prompt['dropout']:g}")
    return words


def _describe_lora(lora: Mapping[str, Any]) -> list[str]:
    usual = LoraConfig()
    words = [f"rank {lora['rank']}"]
    words += [f"alpha {lora['alpha']:g}"] if lora["alpha"] != usual.alpha else []
    if (targets := lora["targets"]) != usual.targets:
        words.append(targets if isinstance(targets, str) else f"at {'+'.join(targets)}")
    words += [f"LoRA dropout {lora['dropout']:g}"] if lora["dropout"] != usual.dropout else []
    words += [f"bias {lora['bias']}"] if lora["bias"] != usual.bias else []
    return words


def describe_length(group: Sequence[Result]) -> str:
    """Describe how long runs of one setting trained: `10 epochs`, `3-5 of 10 epochs`, `40 steps`."""
    trainer = group[0].config["trainer"]
    epochs, limit = trainer["epochs"], trainer.get("max_steps")
    if limit is not None and any(run.steps_planned == limit for run in group):
        span = _range([str(steps) for steps in sorted(run.steps for run in group)])
        return f"{span} step{'' if span == '1' else 's'}"
    done = sorted(epochs * run.steps / run.steps_planned if run.steps_planned else 0.0 for run in group)
    if done[0] == epochs:
        return count_of(epochs, "epoch")
    return f"{_range([f'{value:.3g}' for value in done])} of {count_of(epochs, 'epoch')}"


def _range(numbers: Sequence[str]) -> str:
    """The first and last of sorted numbers, or one where both are the same."""
    return numbers[0] if numbers[0] == numbers[-1] else f"{numbers[0]}-{numbers[-1]}"
