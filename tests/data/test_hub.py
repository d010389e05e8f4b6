"""Data from the hub, against a server on loopback; in subprocesses, as HF_* is read when the libraries are imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commandline import TIMEOUT
from datasets import ClassLabel, Dataset, Features, List, Value
from pyarrow import parquet

sys.path.append(str(Path(__file__).parents[1]))
from hub_files import commit, revision_folder
from hub_server import HubServer

CONVERTED = "refs/convert/parquet"
PAIRS = {
    "repository": "someone/pairs",
    "revision": "main",
    "files": {"train": "pairs/train-*.parquet", "dev": "pairs/dev-*.parquet", "test": "pairs/test-*.parquet"},
    "columns": ["premise", "idx", "label"],
    "labels": ["no", "yes"],
}
ASK = """
import json, socket, sys
hosts, resolve = [], socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: (hosts.append(host), resolve(host, *rest, **more))[1]
from ptv2.config.task_schema import HubSource
from ptv2.data.hub import load_hub
from ptv2.errors import Ptv2Error
answers = []
for source, split in json.load(sys.stdin):
    try:
        records, commit = load_hub(HubSource(**source), split, *sys.argv[1:])
        answers.append((list(records), commit))
    except Ptv2Error as error:
        answers.append(str(error))
print(json.dumps({"answers": answers, "hosts": hosts}))
"""


def pairs(label: Any, first: int, labels: list[int]) -> Dataset:
    numbers = list(range(first, first + len(labels)))
    rows = {"premise": [f"sentence {number}" for number in numbers], "idx": numbers, "label": labels}
    features = Features({"premise": Value("string"), "idx": Value("int32"), "label": label})
    return Dataset.from_dict(rows, features=features)


def write(dataset: Dataset, folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    dataset.to_parquet(folder / name)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with two repositories; `someone/pairs` has a main branch, an older tag and a converted ref."""
    root = tmp_path_factory.mktemp("hub")
    named = ClassLabel(names=["no", "yes"])
    main = revision_folder(root, "datasets", "someone/pairs")
    for shard in range(12):  # two digits, so that a wrong sort of shard names shows
        write(pairs(named, 2 * shard, [shard % 2, 1]), main, f"pairs/train-{shard:05}-of-00012.parquet")
    write(pairs(named, 50, [1, 0]), main, "pairs/dev-00000-of-00001.parquet")
    write(pairs(named, 60, [-1, -1]), main, "pairs/test-00000-of-00001.parquet")
    write(pairs(named, 70, [0]), main, "pairs.fixed/train-00000-of-00001.parquet")
    numbers = pairs(Value("int64"), 80, [0, 7])  # the library refuses to write a class that is not there
    (main / "broken").mkdir()
    metadata = pairs(named, 0, []).features.arrow_schema.metadata
    parquet.write_table(numbers.data.table.replace_schema_metadata(metadata), main / "broken" / "train.parquet")
    (main / "broken" / "dev.parquet").write_bytes(b"not a Parquet file")
    (main / "pairs.py").write_text("raise SystemExit('the dataset script ran')")
    (main / "README.md").write_text("---\nconfigs:\n- config_name: other\n  data_files: nothing/*.parquet\n---\n")
    old = revision_folder(root, "datasets", "someone/pairs", "v1")
    write(pairs(named, 500, [0, 0, 1]), old, "pairs/train-0.parquet")
    converted = revision_folder(root, "datasets", "someone/pairs", CONVERTED)
    write(pairs(Value("int64"), 0, [0, 1]), converted, "pairs/train/0000.parquet")
    tags = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=["O", "B-PER"]))})
    tagged = Dataset.from_dict({"tokens": [["Ann", "sleeps"], []], "tags": [[1, 0], []]}, features=tags)
    write(tagged, revision_folder(root, "datasets", "someone/tags"), "train.parquet")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[HubServer]:
    with HubServer(root) as server:
        yield server


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def ask(
    endpoint: str,
    cache: Path,
    *questions: tuple[dict[str, Any], str],
    cache_dir: Path | None = None,
    **environment: str,
) -> list[Any]:
    """Load each (source, split) in a fresh process; answers are [records, commit] or an error's message."""
    names = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    names |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), **environment}
    command = [sys.executable, "-c", ASK, *([] if cache_dir is None else [str(cache_dir)])]
    run = subprocess.run(
        command, input=json.dumps(questions), env=names, text=True, capture_output=True, timeout=TIMEOUT
    )
    assert run.returncode == 0, run.stderr
    reply = json.loads(run.stdout)
    asked = [] if "HF_HUB_OFFLINE" in environment else ["127.0.0.1"]
    assert sorted(set(reply["hosts"])) == asked, "nobody but the named endpoint is looked up"
    return reply["answers"]


@pytest.fixture(scope="module")
def online(server: HubServer, root: Path, cache: Path) -> dict[str, Any]:
    """One process with the hub in reach answers everything the tests below look at, and fills the cache."""
    old = commit(root / "datasets" / "someone/pairs" / "v1")
    questions = {
        "train": (PAIRS, "train"),
        "dev": (PAIRS, "dev"),
        "test": (PAIRS, "test"),
        "pinned": (PAIRS | {"revision": old}, "train"),
        "tag": (PAIRS | {"revision": "v1"}, "train"),
        "converted": (PAIRS | {"revision": CONVERTED, "files": {"train": "pairs/train/*.parquet"}}, "train"),
        "tags": ({"repository": "someone/tags", "revision": "main", "files": {"train": "*.parquet"}}, "train"),
        "no repository": (PAIRS | {"repository": "someone/nothing"}, "train"),
        "no name": (PAIRS | {"repository": "a/b/c"}, "train"),
        "no revision": (PAIRS | {"revision": "v2"}, "train"),
        "no file": (PAIRS | {"files": {"train": "pairs/training-*.parquet"}}, "train"),
        "no split": (PAIRS | {"files": {"train": "pairs/train-*.parquet"}}, "dev"),
        "script": (PAIRS | {"files": {"train": "pairs.py"}}, "train"),
        "no column": (PAIRS | {"columns": ["premise", "hypothesis"]}, "train"),
        "labels": (PAIRS | {"labels": ["entailment", "neutral"]}, "train"),
        "class 7": (PAIRS | {"files": {"train": "broken/train.parquet"}}, "train"),
        "torn": (PAIRS | {"files": {"train": "broken/dev.parquet"}}, "train"),
    }
    return dict(zip(questions, ask(server.url, cache, *questions.values()), strict=True))


def test_shards_in_order_with_label_names(online: dict[str, Any], root: Path) -> None:
    records, sha = online["train"]
    assert [record["idx"] for record in records] == list(range(24))
    assert [record["label"] for record in records] == ["no", "yes", "yes", "yes"] * 6
    assert records[3] == {"premise": "sentence 3", "idx": 3, "label": "yes"}
    assert sha == commit(root / "datasets" / "someone/pairs" / "main")


def test_dev_and_hidden_labels(online: dict[str, Any]) -> None:
    assert [record["label"] for record in online["dev"][0]] == ["yes", "no"]
    assert [record["label"] for record in online["test"][0]] == [None, None]


def test_a_revision_is_a_commit_a_tag_or_a_ref(online: dict[str, Any], root: Path) -> None:
    folder = root / "datasets" / "someone/pairs"
    assert online["pinned"] == online["tag"]
    assert [record["idx"] for record in online["tag"][0]] == [500, 501, 502]
    assert online["tag"][1] == commit(folder / "v1")
    assert online["converted"][1] == commit(folder / "refs%2Fconvert%2Fparquet")
    assert [record["label"] for record in online["converted"][0]] == [0, 1], "no names in the file: left as it is"


def test_names_inside_lists(online: dict[str, Any]) -> None:
    assert online["tags"][0] == [{"tokens": ["Ann", "sleeps"], "tags": ["B-PER", "O"]}, {"tokens": [], "tags": []}]


@pytest.mark.parametrize(
    ("case", "parts"),
    [
        ("no repository", ["someone/nothing@main", "no such repository", "data.dir=DIR", "mini-inference"]),
        ("no name", ["a/b/c", "owner/name"]),
        ("no revision", ["someone/pairs@v2", "no such revision"]),
        ("no file", ["'pairs/training-*.parquet'", "pairs/dev-00000-of-00001.parquet"]),
        ("no split", ["split 'dev'", "there are: train"]),
        ("script", ["'pairs.py'", ".parquet"]),
        ("no column", ["no column 'hypothesis'", "there are: premise, idx, label"]),
        ("labels", ["labels are no, yes", "expected entailment, neutral"]),
        ("class 7", ["row 1", "label is 7", "2 classes"]),
        ("torn", ["someone/pairs@main", "cannot read", "Parquet"]),
    ],
)
def test_a_fault_is_one_line_that_names_it(online: dict[str, Any], case: str, parts: list[str]) -> None:
    message = online[case]
    assert isinstance(message, str), message
    assert "\n" not in message
    assert [part for part in parts if part not in message] == [], message


def test_no_file_but_parquet_is_fetched(online: dict[str, Any], server: HubServer) -> None:
    fetched = {line.split("/resolve/")[1] for line in server.requests if "/resolve/" in line}
    assert fetched
    assert [name for name in fetched if not name.endswith(".parquet")] == []


def test_offline_reads_the_cache_and_asks_nobody(online: dict[str, Any], server: HubServer, cache: Path) -> None:
    before = len(server.requests)
    fresh = PAIRS | {"files": {"train": "pairs.fixed/train-*.parquet"}}
    converted = PAIRS | {"revision": CONVERTED, "files": {"train": "pairs/train/*.parquet"}}
    answers = ask(server.url, cache, (PAIRS, "train"), (converted, "train"), (fresh, "train"), HF_HUB_OFFLINE="1")
    assert answers[:2] == [online["train"], online["converted"]]
    assert "HF_HUB_OFFLINE is set" in answers[2]
    assert "data.dir=DIR" in answers[2]
    assert server.requests[before:] == []


def test_unreachable_reads_the_cache_or_says_so(online: dict[str, Any], cache: Path) -> None:
    nobody = "http://127.0.0.1:9"
    unknown = PAIRS | {"repository": "someone/else"}
    partly = PAIRS | {"files": {"train": "pairs.fixed/train-*.parquet"}}
    cached, missing, part = ask(nobody, cache, (PAIRS, "train"), (unknown, "train"), (partly, "train"))
    assert cached == online["train"]
    for message in (missing, part):
        assert nobody in message
        assert "not reachable" in message
        assert "data.dir=DIR" in message
        assert "\n" not in message


def test_a_cache_of_its_own(server: HubServer, tmp_path: Path) -> None:
    home, own = tmp_path / "home", tmp_path / "own"
    home.mkdir()
    ask(server.url, home, (PAIRS, "dev"), cache_dir=own)
    assert [path.name for path in own.rglob("dev-*.parquet")] == ["dev-00000-of-00001.parquet"]
    assert list(own.rglob("*.arrow"))
    assert list(home.rglob("*.parquet")) + list(home.rglob("*.arrow")) == []
