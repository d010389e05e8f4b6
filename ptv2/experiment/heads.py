"""What a run's head needs of task, tokenizer and backbone: where tasks and models meet."""

from __future__ import annotations

from ptv2.config.schema import ModelConfig, RunConfig
from ptv2.data.cloze import Reading
from ptv2.models.checkpoints import resolve
from ptv2.models.configs import random_config, read_config
from ptv2.models.heads import HeadSpec
from ptv2.models.language_model import reading_of
from ptv2.models.tokenizers import load_tokenizer
from ptv2.tasks.load import AnyTask


def reading(model: ModelConfig) -> Reading:
    """How a backbone is asked for label words.

    Raises:
        ModelError: the backbone is not to be had, or there is no language model on it.
    """
    return reading_of(random_config(model) if model.path == "config:" else read_config(resolve(model)[0], model))


def head_spec(task: AnyTask, config: RunConfig) -> HeadSpec:
    """The head of `task`, with the tokens of its label words if it has some.

    Raises:
        ConfigError: words that the tokenizer has no tokens for.
    """
    words = task.label_words(load_tokenizer(config.model)) if task.head == "verbalizer" else None
    return HeadSpec(task.head, len(task.labels), words)
