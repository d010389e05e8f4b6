"""The words that follow `ptv2`, and where each command is."""

from __future__ import annotations

# word: (module with `main(arguments) -> exit code`, help)
COMMANDS = {
    "train": ("ptv2.commands.train", "train and evaluate a run, or a sweep of runs (-m)"),
    "evaluate": ("ptv2.commands.evaluate", "score a finished run again, on its own or on other data"),
    "predict": ("ptv2.commands.predict", "labels for new examples from a finished run"),
    "plan": ("ptv2.commands.plan", "memory and operations that a run would need, before any download"),
    "analyze": ("ptv2.commands.analyze", "what a finished run's prompts do: attention, tokens, layers, probes"),
    "export": ("ptv2.commands.export", "a finished run as an adapter for PEFT, here or on the hub"),
    "import": ("ptv2.commands.import_", "an adapter of PEFT as a run to evaluate and predict with"),
    "prepare": ("ptv2.commands.prepare", "make the files that tasks read from corpora that need a licence"),
    "list": ("ptv2.commands.list", "tasks, models, methods and runs there are"),
    "reproduce": ("ptv2.commands.reproduce", "a table or figure of the paper, from its runs to its files"),
    "compare": ("ptv2.commands.compare", "methods tuned by equally many trials each, then a table over seeds"),
    "table": ("ptv2.commands.table", "metrics of finished runs, mean and spread over seeds"),
    "best": ("ptv2.commands.best", "settings of finished runs ranked by dev, and the best as a recipe"),
    "report": ("ptv2.commands.report", "one HTML page about runs: tables, charts, figures, details"),
}
