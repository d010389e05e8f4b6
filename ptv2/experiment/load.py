"""A finished run, loaded to be used: task, tokenizer and model with what was trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptv2.config.schema import RunConfig, TrainerConfig
from ptv2.console.output import tell
from ptv2.experiment.heads import head_spec
from ptv2.experiment.open import trained_task
from ptv2.models.artifact import load_artifact
from ptv2.models.build import PromptedModel, build_model
from ptv2.models.tokenizers import load_tokenizer
from ptv2.run_folders.processes import is_main_process
from ptv2.tasks.load import AnyTask
from ptv2.tasks.task import Prediction
from ptv2.training.device import make_accelerator, naming_memory, needs_other_precision
from ptv2.training.predict import predict
from ptv2.training.shard import build_spread
from ptv2.variables import quieten_transformers

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Trained:
    """What scoring new examples needs."""

    task: AnyTask
    tokenizer: PreTrainedTokenizerBase
    model: PromptedModel
    accelerator: Accelerator


def load_trained(folder: Path, config: RunConfig, task: AnyTask | None = None) -> Trained:
    """Load the artifact of a finished run onto its backbone, which `trainer.shard` spreads over several processes.

    Where its precision needs a GPU and there is none, it computes in fp32, which the user is told.

    Args:
        task: the run's task; None: as the artifact says.

    Raises:
        ModelError: the backbone is not the one that it was trained on.
    """
    quieten_transformers()
    artifact = folder / "artifact"
    accelerator = make_accelerator(_fitting(config.trainer))
    task = task or trained_task(folder, config)
    head = head_spec(task, config)

    def build() -> PromptedModel:
        model = build_model(config, head)
        load_artifact(model, artifact)
        return model

    several = accelerator.num_processes > 1  # one process alone holds the whole model, whatever it was trained on
    model = build_spread(build, config.trainer.shard and several, accelerator)
    model.to(accelerator.device)
    return Trained(task, load_tokenizer(config.model, task.words), model, accelerator)


def _fitting(trainer: TrainerConfig) -> TrainerConfig:
    """The settings that the run was trained with, in fp32 where only a GPU has their precision and there is none."""
    if not needs_other_precision(trainer):
        return trainer
    if is_main_process():
        tell(f"warning: computed in fp32: trainer.precision={trainer.precision}, as it was trained, needs a GPU")
    return trainer.model_copy(update={"precision": "fp32"})


def predict_examples(trained: Trained, examples: list[Any], config: RunConfig) -> list[Prediction]:
    """What the run's model answers to each example.

    Raises:
        NonFiniteError: scores that are NaN or infinite.
        DataError: an example that cannot be cut to the task's length, or nothing of them is left.
        ModelError: an example that the backbone has no positions for.
    """
    encoded = trained.task.encode(examples, trained.tokenizer, config.data.workers)
    trained.model.check_length(encoded.tokens.longest)
    trained.model.check_ids(encoded.tokens.highest)
    with naming_memory(config.trainer):
        scores = predict(trained.model, encoded, config.trainer.eval_batch_size, trained.accelerator)
    return trained.task.decode(scores, examples, encoded)
