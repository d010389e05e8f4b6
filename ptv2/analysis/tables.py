"""The numbers of each analysis as rows: all for the CSV, and fewer, rounded, for a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ptv2.analysis.ablation import Ablation, Metrics
from ptv2.analysis.attention import Mass
from ptv2.analysis.finding import Row
from ptv2.analysis.probing import Probed
from ptv2.analysis.vocabulary import Nearest

SHOWN = 3  # nearest tokens in the summary, at most


def attention_rows(mass: Mass, untrained: Mass) -> list[Row]:
    """Shares of 1 for each layer with a prompt and each head."""
    return [
        {
            "layer": layer,
            "head": head,
            "share": round(float(share), 6),
            "untrained": round(float(untrained.heads[layer, head]), 6),
            "even": round(float(mass.even[layer]), 6),
        }
        for (layer, head), share in np.ndenumerate(mass.heads)
        if not np.isnan(share)
    ]


def attention_summary(mass: Mass, untrained: Mass) -> list[Row]:
    """Percent for each layer with a prompt."""
    return [
        {
            "layer": layer,
            "mean of heads %": percent(heads.mean()),
            "lowest head %": percent(heads.min()),
            "highest head %": percent(heads.max()),
            "untrained %": percent(untrained.heads[layer].mean()),
            "even %": percent(mass.even[layer]),
        }
        for layer, heads in enumerate(mass.heads)
        if not np.isnan(heads[0])
    ]


def vocabulary_rows(nearest: Sequence[Nearest], names: Mapping[int, str]) -> list[Row]:
    """The nearest tokens of every prompt vector; `names` are the tokens' texts by id."""
    return [
        {
            "layer": vectors.layer,
            "part": vectors.kind,
            "prompt": prompt,
            "rank": rank + 1,
            "token": names[token],
            "token_id": int(token),
            "cosine": round(float(vectors.cosines[prompt, rank]), 6),
            "nearest_untrained": round(float(vectors.untrained[prompt]), 6),
            "nearest_random": round(float(vectors.random[prompt]), 6),
            "token_to_token": round(float(vectors.between[prompt]), 6),
            "common": round(float(vectors.common[prompt]), 6),
        }
        for vectors in nearest
        for (prompt, rank), token in np.ndenumerate(vectors.tokens)
    ]


def vocabulary_summary(nearest: Sequence[Nearest], names: Mapping[int, str]) -> list[Row]:
    """Means over the keys, values or embeddings of each layer, and the tokens closest to any of them."""
    return [
        {
            "layer": "input" if vectors.layer is None else vectors.layer,
            "part": vectors.kind,
            "trained": f"{vectors.cosines[:, 0].mean():.3f}",
            "untrained": f"{vectors.untrained.mean():.3f}",
            "random": f"{vectors.random.mean():.3f}",
            "token to token": f"{vectors.between.mean():.3f}",
            "common": f"{vectors.common.mean():.3f}",
            "closest tokens": _closest(vectors, names),
        }
        for vectors in nearest
    ]


def ablation_rows(ablation: Ablation) -> list[Row]:
    """All metrics, in percent, with each set of prompts."""
    sets: list[tuple[str, int | None, Metrics]] = [("all", None, ablation.whole), ("none", None, ablation.none)]
    sets += [("without", layer, metrics) for layer, metrics in ablation.without.items()]
    sets += [("only", layer, metrics) for layer, metrics in ablation.only.items()]
    return [
        {"prompts": prompts, "layer": layer, **{name: round(value, 4) for name, value in metrics.items()}}
        for prompts, layer, metrics in sets
    ]


def ablation_summary(ablation: Ablation, headline: str) -> list[Row]:
    """The headline metric, by layer."""
    whole = ablation.whole[headline]
    first = "all layers" if ablation.without else "the prompt"
    pairs = [(first, ablation.none, ablation.whole)]
    pairs += [(str(layer), ablation.without[layer], ablation.only[layer]) for layer in ablation.without]
    return [
        {
            "layer": layer,
            "without it": f"{without[headline]:.2f}",
            "change": f"{without[headline] - whole:+.2f}",
            "it alone": f"{only[headline]:.2f}",
        }
        for layer, without, only in pairs
    ]


def probing_rows(probed: Mapping[str, Probed]) -> list[Row]:
    """Scores in percent of each kind of states after each number of layers."""
    return [
        {
            "states": name,
            "layers_passed": depth,
            "accuracy": round(probe.accuracy, 4),
            "macro_f1": round(probe.macro_f1, 4),
            "majority_accuracy": round(probes.majority.accuracy, 4),
            "majority_macro_f1": round(probes.majority.macro_f1, 4),
        }
        for name, probes in probed.items()
        for depth, probe in enumerate(probes.layers)
    ]


def probing_summary(probed: Mapping[str, Probed]) -> list[Row]:
    """The scores of each kind of states side by side."""
    control = next(iter(probed.values())).majority
    depths = zip(*(probes.layers for probes in probed.values()), strict=True)
    return [
        {
            "layers passed": "0 (embeddings)" if depth == 0 else depth,
            **{name: f"{probe.accuracy:.1f}" for name, probe in zip(probed, probes, strict=True)},
            "control": f"{control.accuracy:.1f}",
            **{f"{name}, macro F1": f"{probe.macro_f1:.1f}" for name, probe in zip(probed, probes, strict=True)},
            "control, macro F1": f"{control.macro_f1:.1f}",
        }
        for depth, probes in enumerate(depths)
    ]


def percent(share: float) -> str:
    """Format a share between 0 and 1 in percent."""
    return f"{100 * share:.1f}"


def _closest(vectors: Nearest, names: Mapping[int, str]) -> str:
    order = np.argsort(-vectors.cosines[:, 0], kind="stable")
    tokens = dict.fromkeys(names[token] for token in vectors.tokens[order, 0].tolist())  # several vectors may share one
    return ", ".join(list(tokens)[:SHOWN])
