"""The analyses of one finished run: each with its numbers, its texts and its figure."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ptv2.analysis import plots, probing, tables
from ptv2.analysis.ablation import ablate, count_scores
from ptv2.analysis.attention import attention_mass
from ptv2.analysis.finding import Finding
from ptv2.analysis.passes import bare, other_prompt
from ptv2.analysis.probing import Probed
from ptv2.analysis.vocabulary import Around, Nearest, nearest_tokens
from ptv2.config.schema import RunConfig
from ptv2.config.task_schema import Split
from ptv2.console.output import working
from ptv2.data.sources import open_split
from ptv2.data.tokens import EncodedSet
from ptv2.errors import RunError
from ptv2.experiment.heads import head_spec
from ptv2.experiment.load import load_trained
from ptv2.models.build import PromptedModel, build_model
from ptv2.models.prompts import ShallowPrompts
from ptv2.models.tokenizers import around_text, prompt_tokens
from ptv2.training.device import naming_memory
from ptv2.training.predict import predict


class Sample(NamedTuple):
    """Some examples of a split."""

    examples: list[Any]
    encoded: EncodedSet
    size: str  # in words: how many of how many


class Session:
    """A finished run, loaded for its analyses."""

    def __init__(self, folder: Path, config: RunConfig, limit: int | None) -> None:
        """Load the trained model; data are read when an analysis needs them.

        Args:
            limit: records of a split, at most, drawn from it, the same for every run; None: all.

        Raises:
            RunError: the run is not finished, or there are several processes.
        """
        self.config = config
        self.limit = limit
        self.trained = load_trained(folder, config)
        self.model = self.trained.model
        if (count := self.trained.accelerator.num_processes) > 1:
            raise RunError(f"analyze works in one process, not in {count}; start it without accelerate launch")
        self.title = f"{config.task.name}, {config.model.name}, {config.method}"

    def make(self, name: str) -> Finding:
        """Make one analysis: attention, vocabulary, ablation or probing."""
        with naming_memory(self.config.trainer):
            finding: Finding = getattr(self, name)()
            return finding

    def attention(self) -> Finding:
        """The share of attention on the prompts, beside that on an untrained prompt and an even one."""
        dev, size, device = self.dev, self.config.trainer.eval_batch_size, self.trained.accelerator
        with working("attention", 2 * len(dev.encoded)) as done:
            mass = attention_mass(self.model, dev.encoded, size, device, done)
            with other_prompt(self.model, self.untrained):
                before = attention_mass(self.model, dev.encoded, size, device, done)
        what = (
            f"share of attention that the text's tokens give to the {self.model.prompt_length} prompt tokens, mean "
            f"over all tokens of {dev.size}; untrained: the prompt before any training; even: a head that looks at "
            "all it sees alike"
        )
        share, first, even = (np.nanmean(values) for values in (mass.heads, before.heads, mass.even))
        caption = (
            f"Attention of the text on {self.model.prompt_length} prompt tokens, {dev.size}: in all "
            f"{tables.percent(share)} %, untrained {tables.percent(first)} %, an even one {tables.percent(even)} %"
        )
        figure = plots.draw_attention(mass, self.title, caption)
        rows, summary = tables.attention_rows(mass, before), tables.attention_summary(mass, before)
        return Finding("attention", what, rows, summary, figure)

    def vocabulary(self) -> Finding:
        """The tokens nearest to each prompt vector, and how near they are."""
        size = self.model.backbone.get_input_embeddings().num_embeddings  # type: ignore[operator]
        with working("vocabulary", size) as done:
            nearest = nearest_tokens(self.model, self.untrained, self._around(), self.config.seed, done=done)
        compared = (
            "prompt vectors and word embeddings"
            if isinstance(self.model.prompts, ShallowPrompts)
            else "each layer's prompt keys and values (all heads joined) and those that the layer makes of each token "
            "read as a text of its own"
        )
        what = (
            f"cosine of {compared}, to the nearest of {size} tokens, mean over {self.model.prompt_length} prompt tokens"
            "; untrained: the prompt before any training; random: normal vectors (a cosine knows no norm); token to "
            "token: drawn tokens to the nearest other one; common: prompts to the mean of the vocabulary"
        )
        names = self._token_names(nearest)
        caption = f"Nearest of {size} tokens to each of {self.model.prompt_length} prompt vectors; mean, one std. dev."
        figure = plots.draw_vocabulary(nearest, self.title, caption)
        rows, summary = tables.vocabulary_rows(nearest, names), tables.vocabulary_summary(nearest, names)
        return Finding("vocabulary", what, rows, summary, figure)

    def ablation(self) -> Finding:
        """The metric without some layers' prompts."""
        dev, headline = self.dev, self.config.task.headline
        task, size, device = self.trained.task, self.config.trainer.eval_batch_size, self.trained.accelerator

        def score() -> dict[str, float]:
            scores = predict(self.model, dev.encoded, size, device)
            return task.score(task.decode(scores, dev.examples, dev.encoded), dev.examples)

        with working("ablation", count_scores(self.model)) as done:
            ablation = ablate(self.model, score, done)
        what = (
            f"{headline} on {dev.size}, when prompts are taken away and nothing is trained again; the text stays at "
            "its positions"
        )
        caption = f"Prompts taken away after training; {dev.size}"
        figure = plots.draw_ablation(ablation, headline, self.title, caption)
        return Finding(
            "ablation", what, tables.ablation_rows(ablation), tables.ablation_summary(ablation, headline), figure
        )

    def probing(self) -> Finding:
        """What a classifier reads from the hidden states of this model, and of the backbone before training."""
        if self.model.prompts is not None:
            probed = {"with prompts": self._probed(self.model)}
            with bare(self.model):
                probed["without prompts"] = self._probed(self.model)
            without = "the frozen backbone alone, its text from position 0"
        else:
            probed = {"fine-tuned": self._probed(self.model)}
            pretrained = build_model(self.config, self.model.spec).to(self.trained.accelerator.device)
            probed["pretrained"] = self._probed(pretrained)
            without = "the backbone before training"
        first, second = probed
        states = probed[first]
        what = (
            f"{PROBED[self.model.spec.kind]}, read by logistic regression (L2, C={probing.STRENGTH:g}, standardized) "
            f"off the hidden states after each number of layers: learned on {states.train} states of {self.train.size}"
            f", accuracy in percent on {states.dev} of {self.dev.size}; {second}: {without}; control: the most "
            "frequent answer"
        )
        caption = f"Logistic regression on hidden states: {PROBED[self.model.spec.kind]}; {self.dev.size}"
        figure = plots.draw_probing(probed, self.title, caption)
        return Finding("probing", what, tables.probing_rows(probed), tables.probing_summary(probed), figure)

    @cached_property
    def dev(self) -> Sample:
        """The examples that analyses measure on."""
        return self._read("dev")

    @cached_property
    def train(self) -> Sample:
        """The examples that probes learn from."""
        return self._read("train")

    @cached_property
    def untrained(self) -> Tensor:
        """The folded prompt before training, made again from the run's seed."""
        spec = head_spec(self.trained.task, self.config)
        prompts = build_model(self.config, spec, init_token_ids=prompt_tokens(self.config)).prompts
        assert prompts is not None
        prompts.fold()
        return prompts.value().detach()

    def _read(self, split: Split) -> Sample:
        config, task = self.config, self.trained.task
        source = open_split(config, split)
        records = list(source.read(split))
        chosen = probing.drawn(len(records), self.limit or len(records))
        examples = task.read([records[number] for number in chosen])
        with working("encoding", len(examples)) as done:
            encoded = task.encode(examples, self.trained.tokenizer, config.data.workers, done, f"{split} split")
        self.model.check_length(encoded.tokens.longest)
        self.model.check_ids(encoded.tokens.highest)
        size = f"{len(examples)} {split} examples"
        if len(chosen) < len(records):
            size += f" ({len(chosen)} of {len(records)} records, drawn)"
        return Sample(examples, encoded, size)

    def _probed(self, model: PromptedModel) -> Probed:
        spec, causal = model.spec, model.family.causal
        train, dev = (probing.targets(sample.encoded, spec, causal) for sample in (self.train, self.dev))
        states = self._states(model, self.train.encoded, train.tokens)
        dev_states = self._states(model, self.dev.encoded, dev.tokens)
        layers = []
        with working("probing", len(states)) as done:
            for of_train, of_dev in zip(states, dev_states, strict=True):
                layers.append(probing.fit_probe(of_train, train, of_dev, dev))
                done(1)
        return Probed(layers, probing.majority(train, dev), len(train.tokens), len(dev.tokens))

    def _states(self, model: PromptedModel, encoded: EncodedSet, tokens: np.ndarray) -> list[np.ndarray]:
        size, device = self.config.trainer.eval_batch_size, self.trained.accelerator
        with working("hidden states", len(encoded)) as done:
            return probing.hidden_states(model, encoded, tokens, size, device, done)

    def _around(self) -> Around:
        """The special tokens that the tokenizer puts around a text; without any, its token for the start or end."""
        tokenizer: Any = self.trained.tokenizer
        before, behind = around_text(tokenizer)
        if not before:
            first = next((t for t in (tokenizer.bos_token_id, tokenizer.eos_token_id) if t is not None), None)
            before = [] if first is None else [first]
        return tuple(before), tuple(behind)

    def _token_names(self, nearest: list[Nearest]) -> dict[int, str]:
        """The texts of tokens by id; an id that the tokenizer has no token for is its own name."""
        ids = sorted({int(token) for vectors in nearest for token in vectors.tokens.ravel()})
        names = self.trained.tokenizer.convert_ids_to_tokens(ids)
        return {token: f"#{token}" if name is None else name for token, name in zip(ids, names, strict=True)}


PROBED = {
    "classification": "the label of a text, at the token that it is read at",
    "verbalizer": "the label of a text, at the blank",
    "choice": "the right choice, at the token that each choice's text is read at",
    "tagging": "the tag of a word, at its first token",
    "span": "whether a token is in the answer (as many that are as others of the context)",
}
