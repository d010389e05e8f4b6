"""The figure of each analysis, in the house's style (`ptv2.report.plots`)."""

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

CELLS = 16 * 16  # of a heat map that has room for numbers


def draw_attention(mass: Mass, title: str, caption: str) -> Figure:
    """A heat map of layers and heads, in percent; layers without a prompt stay white."""
    percent = 100 * mass.heads
    layers, heads = percent.shape
    top = float(np.nanmax(percent))
    height = 1.1 + min(5.0, max(1.2, 0.2 * layers))
    with drawing(Words(title, caption, "head", "layer"), height) as (figure, axes):
        # Light to dark, so that it reads the same without colours.
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


def draw_vocabulary(found: Sequence[Nearest], title: str, caption: str) -> Figure:
    """Cosine to the nearest token by layer; for shallow prompts, which have one place, as dots."""
    label = "cosine to nearest token"
    if found[0].layer is None:
        (one,) = found
        kinds = {"trained": one.cosines[:, 0], "untrained": one.untrained, "random": one.random}
        marks = tuple(Mark(name, tuple(values.tolist())) for name, values in kinds.items())
        return draw_curves([Curve("prompt vectors", marks)], [], Words(title, caption, "", label), "category")
    curves = []
    for part in dict.fromkeys(one.part for one in found):
        own = [one for one in found if one.part == part]
        for name, values in (
            (f"{part}s", [one.cosines[:, 0] for one in own]),
            (f"{part}s, untrained", [one.untrained for one in own]),
        ):
            curves.append(
                Curve(name, tuple(Mark(float(one.layer or 0), tuple(v)) for one, v in zip(own, values, strict=True)))
            )
    random = Level("random vectors", tuple(float(value) for one in found for value in one.random))
    return draw_curves(curves, [random], Words(title, caption, "layer", label), "linear")


def draw_ablation(found: Ablation, headline: str, title: str, caption: str) -> Figure:
    """The metric by layer, between that of all prompts and that of none; for shallow prompts these two."""
    whole, none = found.whole[headline], found.none[headline]
    if not found.without:
        marks = (Mark("with the prompt", (whole,)), Mark("without it", (none,)))
        return draw_curves([Curve("dev", marks)], [], Words(title, caption, "", headline), "category")
    curves = [
        Curve(name, tuple(Mark(float(layer), (row[headline],)) for layer, row in rows.items()))
        for name, rows in (("without this layer", found.without), ("this layer only", found.only))
    ]
    levels = [Level("all layers", (whole,)), Level("no prompts", (none,))]
    return draw_curves(
        curves, levels, Words(title, caption, "layer whose prompts are removed, or kept", headline), "linear"
    )


def draw_probing(found: Mapping[str, Probed], title: str, caption: str) -> Figure:
    """Accuracy by the number of layers that the states have passed, over that of the most frequent answer."""
    curves = [
        Curve(name, tuple(Mark(float(depth), (probe.accuracy,)) for depth, probe in enumerate(probed.layers)))
        for name, probed in found.items()
    ]
    control = next(iter(found.values())).majority.accuracy
    words = Words(title, caption, "layers passed (0: embeddings)", "accuracy, %")
    return draw_curves(curves, [Level("most frequent answer", (control,))], words, "linear")


def _some(count: int) -> list[int]:
    """Ticks for numbers below `count`: all of few, every other or fourth of many."""
    step = 1 if count <= 16 else 2 if count <= 32 else 4
    return list(range(0, count, step))
