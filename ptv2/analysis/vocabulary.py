"""Which tokens of the vocabulary the prompts resemble.

A layer's prompt is keys and values, so it is compared with the keys and values that the same layer computes for tokens:
each token of the vocabulary is read as a text of its own, without a prompt and between the special tokens that the
tokenizer puts around any text, and its key and value are taken as they reach the attention. That works for every
backbone, whether its projections are fused, normalized or rotated. (Without special tokens, tokens become alike after a
few layers.) Shallow prompts are compared with the word embeddings.

A cosine alone means little: a vocabulary is large, and its vectors lie in a cone. So there are also the best cosines of
an untrained prompt, of random vectors and of tokens to other tokens, and the cosine to the mean of the vocabulary.

Letters: P prompt length, W width of a vector (for keys and values heads * head size), V tokens, K nearest ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ptv2.analysis.attention import Call, watching
from ptv2.analysis.passes import Done, nothing, other_prompt
from ptv2.models.build import PromptedModel
from ptv2.models.dropout import evaluating
from ptv2.models.positions import position_ids
from ptv2.models.prompts import DeepPrompts
from ptv2.models.seeding import seeded

CHUNK = 512  # tokens that are read at once

Site = tuple[int | None, str]  # a layer (None: the input) and the kind of its vectors: key, value or embedding
Around = tuple[tuple[int, ...], tuple[int, ...]]  # tokens before a text and behind it


@dataclass(frozen=True)
class Nearest:
    """The prompt vectors of one kind in one layer, each with its nearest tokens by cosine."""

    layer: int | None  # None: the input embeddings
    kind: str  # key, value or embedding
    tokens: np.ndarray  # [P, K]; ids, nearest first
    cosines: np.ndarray  # [P, K]
    untrained: np.ndarray  # [P]; cosine of the untrained prompt to its nearest token
    random: np.ndarray  # [P]; the same of random vectors
    between: np.ndarray  # [P]; the same of drawn tokens, to the nearest other token
    common: np.ndarray  # [P]; cosine of the trained prompt to the mean of all tokens


class _Search:
    """The nearest tokens of some vectors, found while the vocabulary is read in chunks."""

    def __init__(self, vectors: Tensor, count: int) -> None:
        """Look for the `count` nearest tokens of `vectors` `[N, W]`."""
        self.units = functional.normalize(vectors.float(), dim=-1)
        self.cosines = self.units.new_full((len(vectors), count), -torch.inf)
        self.tokens = torch.zeros_like(self.cosines, dtype=torch.long)
        self.total = torch.zeros(vectors.shape[1], dtype=torch.float64, device=vectors.device)

    def read(self, tokens: Tensor, vectors: Tensor) -> None:
        """Take the `vectors` `[C, W]` of some `tokens` `[C]` into account."""
        vectors = vectors.float()
        self.total += vectors.sum(0, dtype=torch.float64)
        cosines = torch.cat((self.cosines, self.units @ functional.normalize(vectors, dim=-1).T), dim=1)
        ids = torch.cat((self.tokens, tokens.expand(len(self.units), -1)), dim=1)
        self.cosines, chosen = cosines.topk(self.cosines.shape[1], dim=1)
        self.tokens = ids.gather(1, chosen)

    def common(self) -> Tensor:
        """Cosine of each vector to the mean of all that were read, `[N]`."""
        return self.units @ functional.normalize(self.total.float(), dim=0)


def nearest_tokens(
    model: PromptedModel, untrained: Tensor, around: Around, seed: int, count: int = 5, done: Done = nothing
) -> list[Nearest]:
    """Find the nearest tokens of every prompt vector, layer by layer, keys before values.

    Args:
        untrained: the prompt before any training, of the shape of the folded prompt.
        around: the special tokens before and after a text.
        seed: for the random vectors.
        done: called with the number of tokens of each chunk.

    Raises:
        ModelError: deep prompts in a backbone whose attention cannot be watched.
    """
    assert model.prompts is not None
    embeddings = model.backbone.get_input_embeddings()  # type: ignore[operator]
    size, device = embeddings.num_embeddings, embeddings.weight.device
    generator = seeded(seed, "analysis")
    with evaluating(model), torch.inference_mode():
        trained = _vectors(model, around)
        with other_prompt(model, untrained):
            before = _vectors(model, around)
        deep = isinstance(model.prompts, DeepPrompts)

        def of_tokens(tokens: Tensor) -> dict[Site, Tensor]:
            return _projected(model, tokens, around) if deep else {(None, "embedding"): embeddings.weight[tokens]}

        others = of_tokens(torch.randint(size, (model.prompt_length,), generator=generator).to(device))
        searches: dict[Site, _Search] = {}
        for site, vectors in trained.items():
            random = torch.randn(vectors.shape, generator=generator).to(device)
            compared = (vectors, before[site], random, others[site])
            searches[site] = _Search(torch.cat([each.float() for each in compared]), min(max(2, count), size))
        for start in range(0, size, CHUNK):
            tokens = torch.arange(start, min(start + CHUNK, size), device=device)
            read = of_tokens(tokens)
            for site, search in searches.items():
                search.read(tokens, read[site])
            done(len(tokens))
    return [_result(site, search, count) for site, search in searches.items()]


def _result(site: Site, search: _Search, count: int) -> Nearest:
    cosines, tokens, common = (t.cpu().numpy() for t in (search.cosines, search.tokens, search.common()))
    trained, untrained, random, between = np.split(cosines, 4)
    return Nearest(
        *site,
        tokens=np.split(tokens, 4)[0][:, :count],
        cosines=trained[:, :count],
        untrained=untrained[:, 0],
        random=random[:, 0],
        between=between[:, 1],  # the first is the token itself
        common=np.split(common, 4)[0],
    )


def _vectors(model: PromptedModel, around: Around) -> dict[Site, Tensor]:
    """The prompt's vectors `[P, W]` of each site, as the layers get them, whatever the form of the prompt."""
    prompts = model.prompts
    assert prompts is not None
    if not isinstance(prompts, DeepPrompts):
        return {(None, "embedding"): prompts.value()}
    vectors: dict[Site, Tensor] = {}

    def see(call: Call) -> None:
        queries, keys = call.weights.shape[-2:]
        if keys > queries:
            for kind, states in (("key", call.key), ("value", call.value)):  # [1, H, P + T, D]
                vectors[call.layer, kind] = states[0, :, : keys - queries].transpose(0, 1).flatten(1)

    with watching(model, see):
        text = torch.zeros(1, dtype=torch.long, device=prompts.value().device)
        inputs = _inputs(model, text, around)
        model.backbone(**inputs, prompts=prompts(count_calls=model.family.shared_layers))
    return vectors


def _projected(model: PromptedModel, tokens: Tensor, around: Around) -> dict[Site, Tensor]:
    """Keys and values `[C, W]` of tokens `[C]` at every layer, each token read as a text."""
    vectors: dict[Site, Tensor] = {}
    position = len(around[0])

    def see(call: Call) -> None:
        for kind, states in (("key", call.key), ("value", call.value)):  # [C, H, T, D]
            vectors[call.layer, kind] = states[:, :, position].flatten(1)

    with watching(model, see):
        model.backbone(**_inputs(model, tokens, around))
    return vectors


def _inputs(model: PromptedModel, tokens: Tensor, around: Around) -> dict[str, Tensor]:
    """The backbone's inputs for texts of one token each."""
    before, behind = (torch.tensor(ids, dtype=torch.long, device=tokens.device) for ids in around)
    count = len(tokens)
    ids = torch.cat((before.expand(count, -1), tokens[:, None], behind.expand(count, -1)), dim=1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    positions = position_ids(model.family, model.config, inputs["attention_mask"], 0, ids)
    if positions is not None:
        inputs["position_ids"] = positions
    return inputs
