"""From a large file to encoded examples: what `ptv2 train` does before it loads a backbone, beside `datasets.map`.

    python benchmarks/large_data.py [--rows 300000] [--only texts]

Texts with labels (JSON lines) and tagged sentences (columns) are made up, with 20,000 different words by Zipf's law and
18 words to a text in the middle. Each measurement is a process of its own: CPU seconds without imports, and the most
memory with them. ptv2 reads, checks, encodes and describes the data, the first time and again from its cache;
`datasets` reads the same texts and maps the same tokenizer over them, which checks and describes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TextIO

WAYS = ("texts", "texts, again", "texts, datasets.map", "tagged sentences", "tagged sentences, again")


def main() -> None:
    """Measure all ways and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--only", default="", help="measure only what begins with this")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        seconds = (by_datasets if "datasets" in options.way else by_ptv2)(options.way)
        print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
        return
    print(f"`{' '.join(['python', 'benchmarks/large_data.py', *sys.argv[1:]])}`\n\n| | CPU s | MB |\n|---|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder), options.rows)
        surroundings = {**os.environ, "PTV2_CACHE": f"{folder}/cache", "HF_HOME": f"{folder}/hub"}
        for way in (way for way in WAYS if way.startswith(options.only)):
            words = [sys.executable, str(Path(__file__).resolve()), f"--way={way}"]
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=surroundings)
            seconds, memory = json.loads(done.stdout.splitlines()[-1])
            print(f"| {way} | {seconds:.1f} | {memory:.0f} |", flush=True)


def write_rows(folder: Path, rows: int) -> None:
    """Write `train` and a `dev` of 1,000 rows, of texts and of tagged sentences."""
    draw = random.Random(1)
    letters = "etaoinshrdlu"
    words = ["".join(draw.choices(letters, k=draw.randint(2, 10))) for _ in range(20_000)]
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    for split, count in (("train", rows), ("dev", 1000)):
        with (folder / f"{split}.jsonl").open("w") as texts, (folder / f"{split}.txt").open("w") as sentences:
            for number in range(count):
                length = min(120, max(4, int(draw.lognormvariate(2.9, 0.5))))
                write_row(draw.choices(words, cum_weights=weights, k=length), number, draw, texts, sentences)


def write_row(words: list[str], number: int, draw: random.Random, texts: TextIO, sentences: TextIO) -> None:
    texts.write(json.dumps({"sentence": " ".join(words), "label": ("neg", "pos")[number % 2]}) + "\n")
    tags = draw.choices(["O", "B-PER", "B-LOC"], [8, 1, 1], k=len(words))
    sentences.write("".join(f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True)) + "\n")


def by_ptv2(way: str) -> float:
    """CPU seconds of ptv2 to the encoded data."""
    from ptv2.config.compose import compose
    from ptv2.experiment.data import encode_data
    from ptv2.experiment.open import open_run
    from ptv2.experiment.overview import describe_data
    from ptv2.experiment.read import read_examples

    task = ["task=classification", "task.text=sentence"] if way.startswith("texts") else ["task=ner"]
    config = compose([*task, "data.dir=.", "model=minilm"])
    with cpu_seconds() as seconds:
        data = encode_data(read_examples(config, open_run(config).source), shown=False)
        describe_data(data)
    return seconds[0]


def by_datasets(way: str) -> float:
    """CPU seconds of `datasets` to the same ids."""
    from datasets import load_dataset
    from transformers import AutoTokenizer

    from ptv2.models.checkpoints import embedded_folder

    tokenizer = AutoTokenizer.from_pretrained(embedded_folder("minilm"))
    with cpu_seconds() as seconds:
        data = load_dataset("json", data_files={"train": "train.jsonl", "dev": "dev.jsonl"})
        data.map(lambda rows: tokenizer(rows["sentence"], truncation=True, max_length=128), batched=True)
    return seconds[0]


@contextmanager
def cpu_seconds() -> Iterator[list[float]]:
    """A list that gets the CPU seconds of the block."""
    used: list[float] = []
    started = time.process_time()
    yield used
    used.append(time.process_time() - started)


if __name__ == "__main__":
    main()
