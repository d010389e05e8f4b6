"""The figure of each analysis, in the style of `ptv2.report.plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ptv2.report.plots import Curve, Level, Mark, Words, draw_curves, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ptv2.analysis.ablation import Ablation
    from ptv2.analysis.attention import Mass
    from ptv2.analysis.probing import Probed
    from ptv2.analysis.vocabulary import Nearest

CELLS = 16 * 16  # in a heat map, at most, for numbers to fit in


def draw_attention(mass: Mass, title: str, caption: str) -> Figure:
    """Draw a heat map of layers and heads, in percent; layers without a prompt stay white."""
    percent = 100 * mass.heads
    layers, heads = percent.shape
    top = float(np.nanmax(percent))
    height = 1.1 + min(5.0, max(1.2, 0.2 * layers))
    with drawing(Words(title, caption, "head", "layer"), height) as (figure, axes):
        # From light to dark, to be readable without colours.
        image = axes.imshow(percent, cmap="YlGnBu", vmin=0, vmax=top, aspect="auto", interpolation="nearest")
        bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
        bar.set_label("attention on the prompts, %", fontsize=7)
        bar.outline.set_linewidth(0.4)
        axes.grid(False)
        axes.set_xticks(_some(heads))
        axes.set_yticks(_some(layers))
        if percent.size <= CELLS:
            for (layer, head), value in np.ndenumerate(percent):
                if not np.isnan(value):
                    colour = "white" if value > 0.6 * top else "black"
                    size = min(6.0, 64 / heads)
                    axes.text(head, layer, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=size)
        return figure


def draw_vocabulary(nearest: Sequence[Nearest], title: str, caption: str) -> Figure:
    """Draw cosines to the nearest token by layer; for shallow prompts, which have no layers, as dots."""
    label = "cosine to nearest token"
    if nearest[0].layer is None:
        (shallow,) = nearest
        kinds = {"trained": shallow.cosines[:, 0], "untrained": shallow.untrained, "random": shallow.random}
        marks = tuple(Mark(name, tuple(values.tolist())) for name, values in kinds.items())
        return draw_curves([Curve("prompt vectors", marks)], [], Words(title, caption, "", label), "category")
    curves = []
    for kind in dict.fromkeys(vectors.kind for vectors in nearest):
        layers = [vectors for vectors in nearest if vectors.kind == kind]
        trained = tuple(Mark(float(vectors.layer or 0), tuple(vectors.cosines[:, 0])) for vectors in layers)
        untrained = tuple(Mark(float(vectors.layer or 0), tuple(vectors.untrained)) for vectors in layers)
        curves += [Curve(f"{kind}s", trained), Curve(f"{kind}s, untrained", untrained)]
    random = Level("random vectors", tuple(float(value) for vectors in nearest for value in vectors.random))
    return draw_curves(curves, [random], Words(title, caption, "layer", label), "linear")


def draw_ablation(ablation: Ablation, headline: str, title: str, caption: str) -> Figure:
    """Draw the metric by layer, between those of all prompts and of none; for shallow prompts only these two."""
    whole, none = ablation.whole[headline], ablation.none[headline]
    if not ablation.without:
        marks = (Mark("with the prompt", (whole,)), Mark("without it", (none,)))
        return draw_curves([Curve("dev", marks)], [], Words(title, caption, "", headline), "category")
    curves = [
        Curve(name, tuple(Mark(float(layer), (row[headline],)) for layer, row in rows.items()))
        for name, rows in (("without this layer", ablation.without), ("this layer only", ablation.only))
    ]
    levels = [Level("all layers", (whole,)), Level("no prompts", (none,))]
    words = Words(title, caption, "layer whose prompts are removed, or kept", headline)
    return draw_curves(curves, levels, words, "linear")


def draw_probing(probed: Mapping[str, Probed], title: str, caption: str) -> Figure:
    """Draw accuracy by the number of layers passed, above that of always the most frequent answer."""
    curves = [
        Curve(name, tuple(Mark(float(depth), (probe.accuracy,)) for depth, probe in enumerate(probes.layers)))
        for name, probes in probed.items()
    ]
    control = next(iter(probed.values())).majority.accuracy
    words = Words(title, caption, "layers passed (0: embeddings)", "accuracy, %")
    return draw_curves(curves, [Level("most frequent answer", (control,))], words, "linear")


def _some(count: int) -> list[int]:
    """Ticks for the numbers below `count`: all of them, or every other or fourth if they are many."""
    step = 1 if count <= 16 else 2 if count <= 32 else 4
    return list(range(0, count, step))
