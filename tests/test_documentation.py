"""What README.md and docs/ tell a reader to type: commands are tried, settings are known, links lead on."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from commandline import only_run, run, train_words, write_sentences
from hydra.core.override_parser.overrides_parser import OverridesParser
from pydantic import BaseModel

from ptv2.cli import COMMANDS
from ptv2.config.compose import compose
from ptv2.config.schema import MultitaskConfig, RunConfig
from ptv2.config.spelling import every_fold, spelled
from ptv2.experiment.open import open_run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Of commands that need what a test cannot have: what they may answer.
EXCUSES = {
    "best": "finished runs in",
    "export": "random weights",
    "import": "adapter_config.json",
    "prepare": "expected|missing|not found|no such|no ",
}
BY_SPLIT = ("data.limit", "task.sources.files.files")  # settings with a key for each split
MOST_POINTS = 8  # of a sweep that are composed


class Block(NamedTuple):
    page: str
    kind: str
    title: str
    text: str


@cache
def blocks() -> list[Block]:
    """The fenced blocks of all pages."""
    return [
        Block(path.relative_to(ROOT).as_posix(), *match.groups(default=""))
        for path in PAGES
        for match in FENCE.finditer(path.read_text(encoding="utf-8"))
    ]


def typed() -> Iterator[tuple[str, list[str]]]:
    """Page and words of every command line."""
    for block in blocks():
        if block.kind == "bash":
            for line in block.text.replace("\\\n", " ").splitlines():
                if words := shlex.split(line, comments=True):
                    yield block.page, words


def commands() -> list[tuple[str, list[str]]]:
    """Page and words after `ptv2` of every command of ours, however it is started."""
    found = []
    for page, words in typed():
        for start in (["ptv2"], ["-m", "ptv2"]):
            places = [i for i in range(len(words)) if words[i : i + len(start)] == start]
            if places and (start != ["ptv2"] or words[0] == "ptv2"):
                found.append((page, words[places[0] + len(start) :]))
                break
    return found


TYPED = commands()
TRAIN = [(page, words[1:]) for page, words in TYPED if words[0] == "train"]
OTHER = [(page, words) for page, words in TYPED if words[0] != "train"]


def name_of(case: tuple[str, list[str]]) -> str:
    return f"{Path(case[0]).stem}: {' '.join(case[1])}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run in `runs`, and in `DIR` data and the files that the pages show."""
    folder = tmp_path_factory.mktemp("reader")
    write_sentences(folder / "DIR")
    (folder / "DIR2").mkdir()
    for block in blocks():
        if block.title:
            path = folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    words = train_words(folder / "DIR", folder / "runs", "trainer.epochs=1")
    assert run(words, folder / "log").code == 0
    return folder


def in_place(words: list[str], folder: Path) -> list[str]:
    """The words with a run and a file of the folder for the pages' RUN and FILE, and records of this project."""
    keys = ("records=", "kept=")
    of_project = {word: word.replace("=", f"={ROOT}/", 1) for word in words if word.startswith(keys)}
    places = {
        "FILE": "DIR/test.jsonl",
        "reviews/new.csv": "DIR/test.jsonl",
        "results/runs": f"{ROOT}/results/runs",
        **of_project,
    }
    here = {"RUN": only_run(folder / "runs").name, **places}
    return [here.get(word, word) for word in words]


def test_there_are_commands_to_try() -> None:
    assert len(TRAIN) >= 40
    assert len(OTHER) >= 25
    assert {words[0] for _, words in OTHER} == set(COMMANDS) - {"train"}


@pytest.mark.parametrize(("page", "words"), TRAIN, ids=map(name_of, TRAIN))
def test_a_training_command_composes(page: str, words: list[str], folder: Path) -> None:
    overrides, config_dir, sweeps = [], None, False
    rest = iter(every_fold(words))
    for word in rest:
        if word == "-m":
            sweeps = True
        elif word == "--config-dir":
            config_dir = str(folder / next(rest))
        elif word == "--cfg":
            assert next(rest) == "job"
        else:
            assert "=" in word, word
            overrides.append(word)
    overrides = spelled(overrides)
    parsed = OverridesParser.create().parse_overrides(overrides)
    choices = [
        values_of(override) if not text.startswith("hydra") else [text]
        for text, override in zip(overrides, parsed, strict=True)
    ]
    points = list(product(*choices))
    swept = sweeps or any(word.startswith("+sweep=") for word in overrides)
    assert swept or len(points) == 1, "several values without -m"
    for point in points[:: max(1, len(points) // MOST_POINTS)]:
        config = compose([word for word in point if word], config_dir)
        assert isinstance(config, RunConfig)


def values_of(override: object) -> list[str]:
    """The words of one override, a word for each value of a sweep; of an interval its lower end."""
    text = override.input_line  # type: ignore[attr-defined]
    if not override.is_sweep_override():  # type: ignore[attr-defined]
        return [text]
    key = text.partition("=")[0]
    if interval := re.search(r"interval\(([^,]+),", text):
        return [f"{key}={interval[1]}"]
    return [f"{key}={value}" for value in override.sweep_string_iterator()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("page", "words"), OTHER, ids=map(name_of, OTHER))
def test_another_command_does_what_it_says(page: str, words: list[str], folder: Path, tmp_path: Path) -> None:
    words = [f"results={tmp_path}" if word == "results=/tmp" else word for word in in_place(words, folder)]
    recorded = any(word.startswith("records=") for word in words)  # nothing is run
    if words[0] in ("reproduce", "compare") and not recorded and not {"--collect", "--plan"} & set(words):
        words = [*words, "--plan"]
    if words[0] == "plan":  # as it stands it composes; a small model is counted soon
        assert compose([word for word in words[1:] if "=" in word])
        words = [re.sub("model=.*", "model=tiny", word) for word in words]
    done = run(words, tmp_path, before=partial(os.chdir, folder))
    if done.code and words[0] in EXCUSES:
        assert re.search(EXCUSES[words[0]], done.error), done.error
    else:
        assert done.code == 0, done.err
        assert done.out or done.err


def test_other_things_to_type_are_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    seen = 0
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE):
            assert target in targets, f"{path}: make {target}"
            seen += 1
        for script in re.findall(r"python ((?:scripts|benchmarks)/\S+\.py)", text):
            assert (ROOT / script).is_file(), f"{path}: {script}"
            seen += 1
        for extras in re.findall(r"'ptv2\[([a-z,]+)\]'", text):
            project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
            for extra in extras.split(","):
                assert re.search(rf"^{extra} = \[", project, re.MULTILINE), f"{path}: {extra}"
                seen += 1
    assert seen >= 20


def test_settings_in_the_text_are_known() -> None:
    known = {f"multitask.{key}" for key in (*MultitaskConfig.model_fields, *MultitaskConfig.written)} | {
        *keys(RunConfig)
    }
    groups = "task|data|model|prompt|head|optim|trainer|multitask"
    seen = 0
    for path in PAGES:
        for key in re.findall(rf"`((?:{groups})\.[a-z0-9_.]+)", path.read_text(encoding="utf-8")):
            assert key in known or key.rpartition(".")[0] in BY_SPLIT, f"{path}: {key}"
            seen += 1
    assert seen >= 50


def keys(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a group of settings."""
    for name, field in kind.model_fields.items():
        yield prefix + name
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from keys(inner, f"{prefix}{name}.")


def test_python_in_the_pages_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    programs = [block for block in blocks() if block.kind == "python"]
    for block in programs:
        exec(compile(block.text, block.page, "exec"), {})
    assert len(programs) >= 2


def test_links_between_pages_lead_to_files() -> None:
    seen = 0
    for path in [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "results").rglob("*.md"))]:
        for link in re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).exists(), f"{path}: {link}"
            seen += 1
    assert seen >= 60


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_site_lists_every_page() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = re.findall(r"[^\s':]+\.md", str(site["nav"]))
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    pages += [path.relative_to(ROOT).as_posix() for path in (ROOT / "results").rglob("*.md")]
    assert sorted(listed) == sorted([*pages, "index.md", "contributing.md", "changelog.md"])


def test_the_tutorial_shows_the_run_that_its_command_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new default gives the run another name: then all outputs of the page are to be made again."""
    monkeypatch.chdir(tmp_path)
    page = [block for block in blocks() if block.page == "docs/tutorial.md"]
    exec(next(block.text for block in page if block.kind == "python"), {})
    first = next(words for where, words in TRAIN if where == "docs/tutorial.md")
    assert open_run(compose(first)).run.path.name in "".join(block.text for block in page if block.kind == "text")
