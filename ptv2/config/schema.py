"""The resolved configuration of one run as frozen, checked objects.

Every key of `conf/` has its type, its choices and its meaning here, or in `ptv2.config.task_schema` for tasks and data.
`ptv2.config.compose` fills them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from ptv2.config.methods import METHODS, MULTITASK, Method
from ptv2.config.rules import rule
from ptv2.config.task_schema import (
    DataConfig,
    Folder,
    Frozen,
    Name,
    Positive,
    Rate,
    Seed,
    SharedTask,
    TaskConfig,
    Whole,
    check_folder,
    check_source,
    one_of,
)

TRACKERS = ("tensorboard", "wandb", "trackio", "mlflow")
MULTITASK_ONLY = f"settings of method={MULTITASK} and of no other"
LARGEST = 1e30  # learning rate that float32 can still hold beside a gradient
LearningRate = Annotated[float, Field(gt=0, le=LARGEST)]
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
HALF = ("bf16", "fp16")  # precisions whose products are of two bytes a number
Attention = Literal["sdpa", "eager", "flash_attention_2", "flex_attention"]
Shape = dict[str, str | int | float | bool | list[int]]  # what transformers calls a model's configuration


class ModelConfig(Frozen):
    """The backbone. `path` is a folder, a hub id, `embedded:minilm`, or `config:` with `config` below."""

    name: Name  # names the backbone in tables and runs
    path: Folder  # a folder, OWNER/NAME[@REVISION] on the hub, embedded:minilm, or config: for random weights
    revision: str | None = None  # on the hub: a branch, tag, refs/... or commit
    sha256: str | None = None  # of model.safetensors
    config: Shape = Field(default={})  # of random weights; else what `plan` reads offline
    pooler: Literal["published", "trained", "none"] = "published"  # published: none in decoders
    # flash_attention_2, flex_attention: on a GPU only; the first in half precision, and by flash-attn or kernels
    attention: Attention = "sdpa"
    dtype: Literal["float32", "bfloat16"] = "float32"  # of a frozen backbone's weights
    quantization: Literal["none", "8bit", "4bit"] = "none"  # of a frozen backbone from a checkpoint, on a GPU
    hidden_dropout: Rate | None = None  # None: the checkpoint's
    attention_dropout: Rate | None = None  # None: the checkpoint's
    gradient_checkpointing: bool = False  # less memory for activations, more time
    compile: bool = False
    trust_remote_code: bool = False
    scale: Literal["small", "base", "large", "xlarge"] = "base"  # the methods' defaults of rates and epochs ask it

    @rule
    def _random_weights_stay_whole(self) -> None:
        if self.quantization != "none" and self.path == "config:":
            raise ValueError(f"quantization={self.quantization}: random weights are not quantized; expected none")


class PromptConfig(Frozen):
    """The prompt. `layers` is `all`, `first-k`, `last-k` or a list of layer numbers from 0."""

    form: Literal["key-value", "hidden", "memory"] = "key-value"
    length: Positive = 20  # prompt tokens at each layer
    layers: str | list[Whole] = "all"
    reparameterization: Literal["none", "mlp", "glm-mlp", "glm-lstm"] = "none"
    mlp_hidden: Positive = 512  # width of the MLP
    init: Literal["normal", "vocabulary"] = "normal"
    init_std: Annotated[float, Field(gt=0)] = 0.02
    dropout: Rate = 0.1  # on the prompts' keys and values, anew for each row
    positions: Literal["shifted", "unshifted"] = "shifted"
    embedding: Literal["once", "published"] = "once"  # prompt-tuning only


class LoraConfig(Frozen):
    """Two narrow matrices beside linear maps of the backbone, as PEFT knows them; method lora only."""

    rank: Annotated[Whole, Field(gt=0, le=2**14)] = 8  # rows of A and columns of B
    alpha: Annotated[float, Field(gt=0, le=LARGEST)] = 16.0  # the product counts alpha / rank times
    dropout: Rate = 0.0  # on the input of A
    # query-value: the attention's query and value maps, or the one map that gives them; all-linear: every linear map of
    # the backbone; a list: names of linear maps, or the ends of names
    targets: Literal["query-value", "all-linear"] | Annotated[list[str], Field(min_length=1)] = "query-value"
    bias: Literal["none", "all", "lora_only"] = "none"  # biases that are trained too: of the backbone, of the targets


class HeadConfig(Frozen):
    """`kind`: `linear` is a new linear map, `verbalizer` the checkpoint's language-model head over label words."""

    kind: Literal["linear", "verbalizer"] = "linear"
    dropout: Rate = 0.1  # before the head
    span_padding: Literal["masked", "published"] = "masked"  # published: padding is in the softmax of shape extract


class OptimConfig(Frozen):
    """The optimizer, and rates by what they train."""

    lr: LearningRate
    prompt_lr: LearningRate | None = None  # None: lr
    head_lr: LearningRate | None = None  # None: lr
    backbone_lr: LearningRate | None = None  # None: lr; if the backbone is trained
    adamw: Literal["torch", "transformers-4"] = "torch"
    betas: tuple[Rate, Rate] = (0.9, 0.999)  # AdamW's decay rates of the two moments
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-8  # AdamW's epsilon
    weight_decay: Annotated[float, Field(ge=0)] = 0.0  # decoupled, as AdamW does it
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    schedule: Literal["linear", "exponential", "constant"] = "linear"
    decay: Annotated[float, Field(gt=0, le=1)] = 0.95  # exponential: factor per epoch
    warmup: Rate = 0.0  # share of all steps


class TrainerConfig(Frozen):
    """`batch_size` is the effective one: examples per optimizer step, over all processes and accumulation steps."""

    epochs: Positive = 10
    max_steps: Positive | None = None
    batch_size: Positive = 32
    accumulation: Positive = 1
    eval_batch_size: Positive = 64  # examples per pass, where nothing is trained
    precision: Precision = "fp32"
    evaluate_every: Literal["epoch"] | Positive = "epoch"
    patience: Positive | None = None  # evaluations without a better dev metric before it stops
    halve_on_oom: bool = False
    shard: bool = False  # spread a frozen backbone over the processes
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 5.0
    device: Literal["auto", "cpu"] = "auto"

    @rule
    def _parts_have_examples(self) -> None:
        if self.accumulation > self.batch_size:
            raise ValueError(f"accumulation={self.accumulation}: expected at most batch_size={self.batch_size}")


def _as_list(value: Any) -> Any:
    """Several names in one text, or none, as a list without doubles."""
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    is_names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return list(dict.fromkeys(value)) if is_names else value or []


class MultitaskConfig(Frozen):
    """The part that tasks share: deep prompts trained on all of them, one head per task, every batch of one task.

    What is not here (prompt, head, model, seed, the rest of optim and trainer) is that of the run.
    `ptv2.config.multitask` turns what a user writes into `tasks`.
    """

    written: ClassVar = ("dirs", "families")  # further keys that a user may write

    tasks: list[SharedTask]  # trained on together; null: the task's family
    temperature: Annotated[float, Field(gt=0)] = 2.0  # a task's share of the batches goes by rows ** (1 / temperature)
    lr: LearningRate  # learning rate of this part
    prompt_lr: LearningRate | None = None  # None: lr
    head_lr: LearningRate | None = None  # None: lr
    epochs: Positive = 10  # of as many batches as all tasks have together
    max_steps: Positive | None = None  # stop this part earlier
    batch_size: Positive = 32  # examples per step, all of one task
    evaluate_every: Literal["epoch"] | Positive = "epoch"  # the mean of the tasks' headlines on dev chooses
    patience: Positive | None = None  # evaluations without a better mean before this part stops
    only_shared: bool = False  # stop after this part

    @rule
    def _tasks_differ(self) -> None:
        names = [entry.task.name for entry in self.tasks]
        if len(names) < 2:
            raise ValueError(
                f"tasks has {' '.join(names) or 'nothing'} alone; expected two or more (p-tuning-v2 trains on one)"
            )
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"tasks has {twice[0]} twice; expected each once (other data of its kind need a task.name of their own)"
            )


class RecipeRecord(Frozen):
    """The recipe that a run's settings began with, for its record; the settings themselves hold its values."""

    name: str  # the file below conf/recipe/
    kind: Literal["published", "ours"]
    source: str
    changed: dict[str, Any] = Field(default={})  # what the recipe says where the run has something else, by key


class RunConfig(Frozen):
    """Everything that decides what one run computes, plus the bookkeeping named in `ptv2.config.identity`."""

    task: TaskConfig
    data: DataConfig
    model: ModelConfig
    method: Annotated[str, one_of("method", METHODS)]  # what is trained
    prompt: PromptConfig
    head: HeadConfig
    optim: OptimConfig
    trainer: TrainerConfig
    seed: Seed
    out: Folder = "runs"
    # programs that show metrics, for each an extra of ptv2
    track: Annotated[list[Annotated[str, one_of("tracker", TRACKERS)]], BeforeValidator(_as_list)] = Field(default=[])
    recipe: RecipeRecord | None = None
    lora: LoraConfig = LoraConfig()  # method lora
    multitask: MultitaskConfig | None = None  # method multitask-p-tuning-v2

    @property
    def tuning(self) -> Method:
        """The method by which the model is built: p-tuning-v2 for one that has learned several tasks before."""
        method = METHODS[self.method]
        return METHODS["p-tuning-v2"] if method.several_tasks else method

    @rule
    def _prompt_settings_fit(self) -> None:
        prompt = self.prompt
        shared = prompt.reparameterization.startswith("glm-")
        if self.tuning.prompts == "deep" and shared and prompt.form == "key-value":
            raise ValueError(
                f"prompt.reparameterization={prompt.reparameterization} computes hidden vectors; expected "
                "prompt.form=hidden or memory with it"
            )

    @rule
    def _attention_has_its_precision(self) -> None:
        whole = self.model.dtype == "float32" and self.trainer.precision not in HALF
        if self.model.attention == "flash_attention_2" and whole:
            raise ValueError(
                "model.attention=flash_attention_2 computes in half precision only; expected trainer.precision=bf16 or "
                "fp16, or model.dtype=bfloat16"
            )

    @model_validator(mode="after")
    def _verbalizer_is_there(self) -> RunConfig:
        if self.head.kind == "verbalizer" and self.task.verbalizer is None:
            raise ValueError(
                f"head.kind=verbalizer: task {self.task.name} has none; expected task.verbalizer.text and words"
            )
        return self

    @rule
    def _head_is_trained(self) -> None:
        if self.head.kind == "verbalizer" and self.tuning.prompts is None and self.tuning.backbone is None:
            raise ValueError(
                f"head.kind=verbalizer is the backbone's own head, and method={self.method} trains nothing else; "
                "expected head.kind=linear"
            )

    @model_validator(mode="after")
    def _source_is_there(self) -> RunConfig:
        check_source(self.task, self.data)
        return self

    @rule
    def _folder_is_read(self) -> None:
        check_folder(self.task, self.data)

    @model_validator(mode="after")
    def _multitask_fits(self) -> RunConfig:
        if (self.multitask is None) == (self.method == MULTITASK):
            raise ValueError(f"multitask.*: {MULTITASK_ONLY}")
        if self.multitask is None:
            return self
        if self.head.kind != "linear":
            raise ValueError(f"head.kind={self.head.kind}: method={MULTITASK} has a new head per task; expected linear")
        names = [entry.task.name for entry in self.multitask.tasks]
        if self.task.name not in names:
            raise ValueError(
                f"multitask.tasks has no {self.task.name}, the task to go on with; it has: {' '.join(names)}"
            )
        return self
