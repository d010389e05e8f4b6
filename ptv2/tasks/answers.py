"""From scores of tokens to answers: the best stretches of the context over all windows of a question.

The search is the published one (`postprocess_qa_predictions` of transformers' question answering example), over arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ptv2.data.windows import SpanSet

# Windows that are searched together: all their pairs of starts and ends are in memory.
BLOCK = 256


class Candidate(NamedTuple):
    """A stretch of a context, in characters with the end exclusive, and its score (start plus end)."""

    start_char: int
    end_char: int
    score: float


def best_answers(
    scores: np.ndarray, data: SpanSet, n_questions: int, n_best: int = 20, max_answer_length: int = 30
) -> list[list[Candidate]]:
    """Find the `n_best` best answers of every question, best first; fewer, or none, where its windows hold no more.

    In each window the `n_best` best starts are paired with the `n_best` best ends, question and special tokens
    included. Dropped then are pairs outside of the context, that end before they start, without characters, or of more
    than `max_answer_length` tokens. Two windows may give the same answer. Of equal scores the earlier token and window
    come first.

    Args:
        scores: of each token to be start and end, `[tokens, 2]`, in the order of `data.tokens`.
    """
    blocks = [
        _search(scores, data, range(start, min(start + BLOCK, len(data))), n_best, max_answer_length)
        for start in range(0, len(data), BLOCK)
    ]
    owner, begin, end, total = (np.concatenate(columns) for columns in zip(*blocks, strict=True))
    order = np.lexsort((-total, owner))  # stable: equal scores stay in the order of the search
    owner = owner[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
    best = order[rank < n_best]
    answers: list[list[Candidate]] = [[] for _ in range(n_questions)]
    columns = (owner[rank < n_best], begin[best], end[best], total[best])
    for question, *candidate in zip(*(column.tolist() for column in columns), strict=True):
        answers[question].append(Candidate(*candidate))
    return answers


def null_scores(scores: np.ndarray, data: SpanSet, n_questions: int) -> np.ndarray:
    """The score of having no answer, `[questions]`: start plus end of the "no answer" token, least over the windows."""
    of_windows = scores[data.tokens.starts[:-1] + data.null_positions].sum(axis=1)
    least = np.full(n_questions, np.inf, dtype=scores.dtype)
    np.minimum.at(least, data.owners, of_windows)
    return least


def no_answer_score(candidates: Sequence[Candidate], null_score: float) -> float:
    """How much better it is to answer nothing than the best candidate; infinite where there is no candidate."""
    return float(null_score) - candidates[0].score if candidates else math.inf


def choose(
    context: str, candidates: Sequence[Candidate], null_score: float | None = None, threshold: float = 0.0
) -> str:
    """Return the text of the best candidate without the blanks at its edges, or the empty text.

    Args:
        null_score: None where every question has an answer (version 1.1); the empty text then means that there is no
            candidate.
        threshold: the no-answer score above which nothing is answered.
    """
    if not candidates or (null_score is not None and no_answer_score(candidates, null_score) > threshold):
        return ""
    return context[candidates[0].start_char : candidates[0].end_char].strip()


def _search(
    scores: np.ndarray, data: SpanSet, windows: range, n_best: int, max_answer_length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Question, first character, end and score of every candidate in these windows, by window, start and end."""
    mask = data.tokens.mask(windows).astype(bool)
    flat = slice(data.tokens.starts[windows.start], data.tokens.starts[windows.stop])
    starts, ends = (_rows(mask, column, -np.inf) for column in scores[flat].T)
    first, last = (_rows(mask, column, -1) for column in data.offsets[flat].T)
    start, end = (np.argsort(-rows, axis=1, kind="stable")[:, :n_best] for rows in (starts, ends))
    begin = np.take_along_axis(first, start, axis=1)[:, :, None]  # [windows, n, 1]
    finish = np.take_along_axis(last, end, axis=1)[:, None, :]  # [windows, 1, n]
    length = end[:, None, :] - start[:, :, None] + 1  # [windows, n, n] tokens
    good = (begin >= 0) & (finish > begin) & (length > 0) & (length <= max_answer_length)
    total = np.take_along_axis(starts, start, axis=1)[:, :, None] + np.take_along_axis(ends, end, axis=1)[:, None, :]
    window, i, j = np.nonzero(good)
    owner = data.owners[windows.start : windows.stop][window]
    return owner, begin[window, i, 0], finish[window, 0, j], total[window, i, j]


def _rows(mask: np.ndarray, values: np.ndarray, fill: float) -> np.ndarray:
    """Flat values as rows `[windows, T]`, `fill` at the padding."""
    rows = np.full(mask.shape, fill, dtype=values.dtype)
    rows[mask] = values
    return rows
