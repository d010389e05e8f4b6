"""Where a training stands: with the tensors beside it all that it needs to go on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Position:
    """Where a training stands. Goes into every saved state as it is."""

    step: int = 0  # optimizer steps done
    evaluated_at: int = 0
    evaluations: int = 0
    best_step: int | None = None
    best_file: str | None = None
    best: dict[str, float] | None = None
    last: dict[str, float] | None = None
    stale: int = 0  # evaluations since the best
    accumulation: int = 1
    loss_sum: float = 0.0  # since the last line of the log
    loss_steps: int = 0
    gradient_norm: float | None = None  # of the last step, before clipping; None: not measured, or infinite in fp16
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    examples: int = 0
    resumed: int = 0  # how often the run was continued
    damaged_lines: int = 0  # of metrics.jsonl: damaged, altered or lost before the run was continued
