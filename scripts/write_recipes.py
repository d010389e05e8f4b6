"""Write the recipes of the published runs, conf/recipe/<task>/<model>/p-tuning-v2.yaml, from their table.

    python scripts/write_recipes.py [tests/reference/run_scripts.csv] [--out conf/recipe]

The table has the arguments of every script of the published code (THUDM/P-tuning-v2, commit b1520c9). What the code
itself fixes is below: AdamW as in transformers 4, clipping at 1, the schedule of each trainer, one dropout for prompts,
backbone and head. The 108 points of search_script/ are conf/sweep/paper.yaml.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
TASKS = {"conll2003": "conll03", "conll2004": "conll04", "conll2005": "conll05", "conll2012": "conll12"}
# Two scripts train RoBERTa-large on CoNLL-2012: the one that names it is the recipe, the other has a name of its own.
FILES = {"run_script/run_conll12_bert.sh": "p-tuning-v2-bert-script"}
TEMPLATES = ("wic", "wsc")  # tasks with numbered templates
EXPONENTIAL = ("ner", "srl", "qa")  # families of training/trainer_exp.py; the others decay linearly

NOTES = {
    "run_script/run_conll12_roberta.sh": [
        "run_conll12_bert.sh trains RoBERTa-large too (batch 16, P 128): this is the script with the model's name, and",
        "recipe=conll12/roberta-large/p-tuning-v2-bert-script the other.",
    ],
    "run_script/run_conll12_bert.sh": ["Named for BERT, the script trains RoBERTa-large, with other batch and length."],
    "run_script/run_wic_bert.sh": ["The only published run with an MLP; its rate is 50 to 600 times below others'."],
}
LENGTH_NOTES = {
    "ner": [
        "The code ignores its --max_seq_length here, and fails beyond 512 tokens; what is longer than the task's",
        "max_length is read in windows instead.",
    ],
    "qa": ["The code fixes 384 tokens, and has no dropout before the head."],
}
LENGTH_NOTES["srl"] = LENGTH_NOTES["ner"]


def recipes(table: Path) -> Iterator[tuple[str, str]]:
    """Name below conf/recipe/ and text of each published run."""
    with table.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row["script"].startswith("run_script/"):
                file = FILES.get(row["script"], "p-tuning-v2")
                yield f"{_task(row)}/{row['model']}/{file}.yaml", _text(row)


def _task(row: dict[str, str]) -> str:
    return TASKS.get(row["dataset"], row["dataset"])


def _text(row: dict[str, str]) -> str:
    notes = [*NOTES.get(row["script"], []), *LENGTH_NOTES.get(row["task"], [])]
    lines = [f"# {_task(row)} with {row['model']}, as published.", *(f"# {note}" for note in notes)]
    body = yaml.safe_dump(_settings(row), sort_keys=False, width=1000)
    return "# @package _global_\n" + "\n".join(lines) + "\n" + body


def _settings(row: dict[str, str]) -> dict[str, object]:
    family, dropout = row["task"], float(row["dropout"])
    task: dict[str, object] = {}
    if family in ("superglue", "qa"):
        task["max_length"] = int(row["max_seq_length"])
    if row["dataset"] in TEMPLATES:
        task["template"] = int(row["template_id"])
    if family == "srl":
        task["tagging"] = {"predicate": "published"}
    model: dict[str, object] = {"pooler": "published"} if family == "superglue" else {}
    head: dict[str, object] = {"dropout": 0.0, "span_padding": "published"} if family == "qa" else {"dropout": dropout}
    mlp = {"reparameterization": "mlp", "mlp_hidden": 512} if row["prefix_projection"] == "true" else {}
    decay = {"schedule": "exponential", "decay": 0.95} if family in EXPONENTIAL else {"schedule": "linear"}
    return {
        "recipe": {"kind": "published", "source": f"{row['script']} of THUDM/P-tuning-v2 at b1520c9"},
        "seed": int(row["seed"]),
        **({"task": task} if task else {}),
        "model": {**model, "hidden_dropout": dropout},
        "prompt": {"length": int(row["prompt_length"]), **(mlp or {"reparameterization": "none"}), "dropout": dropout},
        "head": head,
        "optim": {
            "lr": float(row["learning_rate"]),
            "adamw": "transformers-4",
            "weight_decay": 0.0,
            "clip": 1.0,
            **decay,
            "warmup": 0.0,
        },
        "trainer": {"epochs": int(row["epochs"]), "batch_size": int(row["batch_size"])},
    }


def main() -> None:
    """Write every recipe below the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?", type=Path, default=ROOT / "tests" / "reference" / "run_scripts.csv")
    parser.add_argument("--out", type=Path, default=ROOT / "conf" / "recipe")
    options = parser.parse_args()
    for name, text in recipes(options.table):
        path = options.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
