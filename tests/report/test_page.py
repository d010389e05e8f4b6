"""The page from runs written by hand: all numbers are there, nothing from outside is, and no name is markup."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from commandline import TIMEOUT, finish, python
from records import CONFIG, result

from ptv2.cli import main
from ptv2.metrics.accuracy import by_class, confusion
from ptv2.report import tables
from ptv2.report.html.shown import WITHOUT_A_WORD
from ptv2.run_folders.record import Result
from ptv2.tasks.task import in_percent

VOID = {"meta", "input", "img", "br", "link"}
EVIL = "</script><script>alert('x')</script>\"'&<b>"


@dataclass
class Element:
    """A tag with what is in it."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Element]:
        """This element and all below it, in their order."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Elements of a tag whose attributes hold the given words; `class_` is the class."""
        wanted = {name.rstrip("_").replace("_", "-"): word for name, word in attributes.items()}
        return [
            one
            for one in self
            if one.tag == tag and all(word in one.attributes.get(name, "").split() for name, word in wanted.items())
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        (found,) = self.all(tag, **attributes)
        return found


class Tree(HTMLParser):
    """Reads a page, and fails where a tag is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._open = [Element("", {})]
        self.feed(text)
        self.close()
        assert len(self._open) == 1, [one.tag for one in self._open]
        self.root = self._open[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def write(out: Path, one: Result | None, name: str = "", *, state: str = "finished", message: str = "") -> Path:
    """A run's folder, with two epochs of ten steps; without a result it is one of p-tuning-v2."""
    folder = out / (one.name if one else name)
    folder.mkdir(parents=True)
    config = one.config if one else CONFIG["p-tuning-v2"]
    (folder / "config.yaml").write_text(json.dumps({"config": config}))  # JSON is YAML
    status = {"state": state, "message": message, "time": "2026-01-02T03:04:05+00:00"}
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "env.json").write_text(json.dumps({"python": "3.11.0", "packages": {"torch": "2.6.0"}}))
    lines = [{"step": step, "loss": 1 / step, "lr": 0.1, "train_seconds": step} for step in (5, 10, 15, 20)]
    lines.insert(2, {"step": 10, "epoch": 1.0, "dev": {"accuracy": 50.0}, "best": True})
    lines.append({"step": 20, "epoch": 2.0, "dev": {"accuracy": 49.0}, "best": False})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if one:
        (folder / "result.json").write_text(json.dumps(asdict(one)))
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Runs of two methods and three seeds on dev and test, one of a second task with two test sets, four unfinished."""
    runs = tmp_path / "runs"
    for method, start in (("fine-tuning", 80.0), ("p-tuning-v2", 78.5)):
        for seed in (1, 2, 3):
            write(runs, result(method, seed, start + seed * seed, test=start - seed))
    brown = result("prompt-tuning", 1, 60.25, test=61.5, config={"task": {"name": "roles"}})
    parts = {"dev": {"A0": {"f1": 33.3, "support": 12}}}
    brown = replace(brown, task="roles", name="roles-tiny-prompt-tuning-0", tests={"test-brown": {"accuracy": 44.125}})
    write(runs, replace(brown, parts=parts, notes=["12 texts were cut"]))
    write(runs, None, "made-tiny-p-tuning-v2-failed", state="failed", message="TrainingError: loss is nan at step 7")
    write(runs, None, "made-tiny-p-tuning-v2-stopped", state="interrupted", message="stopped at step 20 of 30")
    write(runs, None, "made-tiny-p-tuning-v2-killed", state="running")
    torn = write(runs, None, "made-tiny-p-tuning-v2-torn")
    (torn / "result.json").write_text("{")
    return runs


def page(out: Path, *words: str) -> Element:
    """What `ptv2 report` makes of a folder of runs."""
    path = out.parent / "report.html"
    assert main(["report", "--out", str(out), "--output", str(path), *words]) == 0
    return Tree(path.read_text(encoding="utf-8")).root


def data(tree: Element) -> dict[str, Any]:
    """What the page's script reads."""
    return json.loads(tree.one("script", type="application/json").text)


def run_of(tree: Element, name: str) -> dict[str, Any]:
    (found,) = [run for run in data(tree)["runs"] if run["name"] == name]
    return found


# The page


def test_the_page_needs_nothing_from_outside(out: Path) -> None:
    tree = page(out)
    links = [
        one.attributes[name] for one in tree for name in ("src", "href", "action", "data") if name in one.attributes
    ]
    assert all(link.startswith("#") for link in links), links
    assert not tree.all("link")
    style, script = tree.one("style").text, tree.all("script")[-1].text
    assert not re.search(r"url\(|@import", style)
    assert set(re.findall(r"https?://[^\s\"'`]+", style + script)) == {"http://www.w3.org/2000/svg"}  # a name
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|eval|innerHTML)\b", script)


def test_the_browser_is_told_to_run_the_pages_own_script_only(out: Path) -> None:
    tree = page(out)
    policy = [one.attributes["content"] for one in tree.all("meta") if "http-equiv" in one.attributes]
    digest = base64.b64encode(hashlib.sha256(tree.all("script")[-1].text.encode()).digest()).decode()
    assert policy[0].startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policy[0]


def test_ids_are_unique_and_links_lead_somewhere(out: Path) -> None:
    tree = page(out)
    ids = [one.attributes["id"] for one in tree if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    assert {one.attributes["href"][1:] for one in tree.all("a")} <= set(ids)


def test_names_and_messages_are_never_markup(out: Path) -> None:
    evil = result("p-tuning-v2", 9, 70.0, config={"prompt": {"length": 9}})
    evil = replace(evil, task=EVIL, model=EVIL, name="evil", notes=[EVIL], data={**evil.data, "source": EVIL})
    write(out, evil, state=EVIL)
    write(out, None, "<b>bold-&amp;", state="failed", message=EVIL)
    before, tree = page(out, str(out / "made-tiny-fine-tuning-0000000001")), page(out, "--title", EVIL)
    count = {tag: len(before.all(tag)) for tag in ("script", "b", "style")}
    assert {tag: len(tree.all(tag)) for tag in count} == count
    assert tree.one("title").text == tree.one("h1").text == EVIL
    assert EVIL in {row.attributes["data-task"] for row in tree.all("tbody")}
    assert EVIL in {cell.text for cell in tree.all("td", class_="message")}
    assert run_of(tree, "evil")["notes"] == [EVIL]
    assert "<b>bold-&amp;" in [run["name"] for run in data(tree)["runs"]]


def test_a_page_made_twice_is_the_same_file(out: Path) -> None:
    path = out.parent / "report.html"
    page(out)
    first = path.read_bytes()
    page(out)
    assert path.read_bytes() == first
    assert [file.name for file in out.parent.iterdir() if file.is_file()] == ["report.html"]  # nothing left beside it


# Tables


def test_every_line_of_the_tables_is_there(out: Path) -> None:
    tree = page(out)
    results = [Result(**json.loads(p.read_text())) for p in sorted(out.glob("*/result.json")) if p.stat().st_size > 1]
    for split, count in (("dev", 6), ("test", 3), ("test-brown", 1)):
        (part,) = [one for one in tree.all("div", class_="split") if one.attributes["data-split"] == split]
        assert [button.text for button in part.all("button", class_="sort")] == list(tables.HEADER)
        shown = [[cell.text.strip() for cell in line.all("td")] for line in part.all("tr")[1:]]
        expected = tables.cells(tables.rows(results, split))
        assert len(expected) == count
        for line, cells in zip(shown, expected, strict=True):
            told = dict(zip(tables.HEADER, line, strict=True))
            told["seeds"] = told["seeds"].partition("seed ")[0]  # what opens below the number
            assert tuple(told.values()) == cells
        assert tables.footnote(split) in part.text


def test_a_row_tells_its_seeds_and_leads_to_their_runs(out: Path) -> None:
    tree = page(out)
    row = tree.all("div", class_="split")[0].all("tbody", data_method="p-tuning-v2")[0]
    seeds = [(item.text, item.one("a").attributes["href"]) for item in row.all("li")]
    assert [text for text, _ in seeds] == ["seed 1: 79.50", "seed 2: 82.50", "seed 3: 87.50"]
    names = {
        one.attributes["id"]: one.one("button").text.strip() for one in tree.all("tbody") if "id" in one.attributes
    }
    assert [names[link[1:]] for _, link in seeds] == [f"made-tiny-p-tuning-v2-{seed:010}" for seed in (1, 2, 3)]


def test_a_model_that_gives_one_answer_is_marked(out: Path) -> None:
    stuck = result("prompt-tuning", 1, 50.0)
    write(out, replace(stuck, data={**stuck.data, "predicted": {"dev": {"yes": 10, "no": 0}}}))
    assert page(out).all("small")[0].text == "(one class: 1 of 1)"


def test_every_finished_run_is_listed(out: Path) -> None:
    tree = page(out)
    lines = tree.one("section", id="runs").all("tbody")
    assert len(lines) == 7
    told = {line.one("button").text.strip(): [cell.text for cell in line.all("td")] for line in lines}
    brown = told["roles-tiny-prompt-tuning-0"]
    settings = "P 20, lr 0.005, 10 epochs"
    assert brown == ["accuracy", "60.25", "61.50", "1", settings, "1", "1", "1:31", "1", "2026-01-02 03:04"]


def test_unfinished_runs_are_listed_with_what_ended_them(out: Path) -> None:
    tree = page(out)
    told = {}
    for line in tree.one("section", id="unfinished").all("tbody"):
        state, message, step, _ = (cell.text for cell in line.all("td"))
        told[line.one("button").text.strip().rpartition("-")[2]] = (state, message, step)
    torn = told.pop("torn")
    assert told == {
        "failed": ("failed", "TrainingError: loss is nan at step 7", "20"),
        "stopped": ("interrupted", "stopped at step 20 of 30", "20"),
        "killed": ("interrupted", WITHOUT_A_WORD, "20"),
    }
    assert torn[0] == "unreadable"
    assert "result.json: damaged result" in torn[1]
    assert tree.one("header").text.split("\n")[2].startswith("7 finished 1 failed 2 interrupted 1 unreadable")


def test_results_that_no_table_can_have_are_left_out_and_said(out: Path) -> None:
    old = result("fine-tuning", 4, 99.0)
    write(out, replace(old, name="of-another-version", config={**old.config, "warp": 9}))
    together = replace(old, name="of-several-tasks", task="a+b", config={**old.config, "shared": {"tasks": {}}})
    write(out, together)
    tree = page(out)
    told = {}
    for line in tree.one("section", id="unfinished").all("tbody"):
        state, message, *_ = (cell.text for cell in line.all("td"))
        told[line.one("button").text.strip()] = (state, message.rpartition(": ")[2])
    assert told["of-another-version"] == ("left out", "not the configuration of a run (1 settings are not valid)")
    expected = "the shared part of several runs; expected one of these runs"
    assert told["of-several-tasks"] == ("left out", expected)
    assert "99.0" not in tree.one("section", id="results").text
    assert run_of(tree, "of-several-tasks")["scores"]["dev, best"]["accuracy"] == 99


def test_a_page_of_unfinished_runs_alone(tmp_path: Path) -> None:
    write(tmp_path / "runs", None, "a-b-c-0", state="failed", message="no memory")
    tree = page(tmp_path / "runs")
    assert tree.one("p", id="results").text == "No run is finished yet."
    assert not tree.all("div", class_="split")
    assert "no memory" in tree.text


# Filter


def test_rows_say_what_the_filter_asks_for(out: Path) -> None:
    tree = page(out)
    offered = {
        name: [one.attributes["value"] for one in tree.all("input", name=name)]
        for name in ("task", "model", "method", "split")
    }
    assert offered == {
        "task": ["made", "mini-inference", "roles"],  # the second one is that of unfinished runs
        "model": ["tiny"],
        "method": ["fine-tuning", "prompt-tuning", "p-tuning-v2"],
        "split": ["dev", "test", "test-brown"],
    }
    rows = tree.all("tbody", class_="row")
    assert len(rows) == 3 + 3 + 1 + 7 + 4
    told = [tuple(row.attributes[f"data-{name}"] for name in ("task", "model", "method")) for row in rows]
    assert told.count(("made", "tiny", "fine-tuning")) == 2 + 3
    assert told.count(("roles", "tiny", "prompt-tuning")) == 3 + 1
    assert told.count(("mini-inference", "tiny", "p-tuning-v2")) == 4  # the torn one's config.yaml says what it is


def test_points_of_the_chart_are_the_rows_of_the_table(out: Path) -> None:
    points = data(page(out))["rows"]
    assert [point["method"] for point in points["dev"]] == ["fine-tuning", "p-tuning-v2", "prompt-tuning"]
    assert points["test"][1]["mean"] == pytest.approx(76.5)
    assert points["test"][1]["spread"] == pytest.approx(1.0)
    assert points["test-brown"] == [
        {
            "task": "roles",
            "model": "tiny",
            "method": "prompt-tuning",
            "settings": "P 20, lr 0.005, 10 epochs",
            "metric": "accuracy",
            "percent": 1.0,
            "mean": 44.125,
            "spread": None,
            "seeds": 1,
        }
    ]


# Details


def test_details_hold_what_the_record_holds(out: Path) -> None:
    tree = page(out)
    run, pool = run_of(tree, "roles-tiny-prompt-tuning-0"), data(tree)["pool"]
    assert run["scores"] == {
        "dev, best": {"accuracy": 60.25, "extra": 30.125},
        "dev, last": {"accuracy": 59.25, "extra": 30.125},
        "test": {"accuracy": 61.5},
        "test-brown": {"accuracy": 44.125},
    }
    table, pool = run["parts"]["dev"], data(page(out))["pool"]
    assert (pool[table["names"]], pool[table["columns"]], table["rows"]) == (["A0"], ["f1", "support"], [[33.3, 12]])
    assert run["notes"] == ["12 texts were cut"]
    assert run["time"]["train"] == 91
    assert run["memory"]["peak"] == 2**20
    assert pool[run["environment"]]["packages"] == {"torch": "2.6.0"}
    assert pool[run["data"]]["examples"] == {"train": 100, "dev": 10}
    assert run["dev"] == [[10, 20], [1, 2], [50, 49]]
    assert run["loss"] == [[5, 10, 15, 20], [0.2, 0.1, 0.06667, 0.05]]


def test_settings_are_what_is_common_and_what_is_not(out: Path) -> None:
    write(out, result("p-tuning-v2", 4, 70.0, config={"optim": {"lr": 0.0123456789}, "prompt": {"length": 7}}))
    tree = page(out)
    run, usual = run_of(tree, "made-tiny-p-tuning-v2-0000000004"), data(tree)["common"]["made"]["p-tuning-v2"]
    assert run["own"] == {"optim.lr": 0.0123456789, "prompt.length": 7, "seed": 4}
    assert run["lacking"] == []
    assert usual["optim.lr"] == 0.005
    assert not [key for key in data(tree)["common"]["made"]["fine-tuning"] if key.startswith("prompt.")]


def test_the_recipe_is_told(out: Path) -> None:
    recipe = {"name": "rte/x", "kind": "published", "source": "run_rte.sh", "changed": {"optim.lr": 0.005}}
    made = result("p-tuning-v2", 5, 70.0)
    write(out, replace(made, config={**made.config, "recipe": recipe}))
    run = run_of(page(out), made.name)
    assert run["recipe"] == recipe
    assert not [key for key in run["own"] if key.startswith("recipe")]


def test_numbers_that_json_has_no_word_for(out: Path) -> None:
    made = result("p-tuning-v2", 6, 70.0)
    write(out, replace(made, time={**made.time, "examples_per_second": float("inf")}))
    assert run_of(page(out), made.name)["time"]["examples_per_second"] is None


# Figures


def test_figures_are_shown_as_images(out: Path, tmp_path: Path) -> None:
    figure = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    (tmp_path / "depth-rte.svg").write_text(figure)
    image = page(out, "--figures", str(tmp_path)).one("img")
    kind, _, coded = image.attributes["src"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(coded).decode() == figure
    assert image.attributes["alt"] == "figure depth-rte"


# The command


def test_what_no_page_is_made_of(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for words, expected in (
        (["--out", str(tmp_path / "empty")], f"no run in {tmp_path / 'empty'}/; expected folders with a config.yaml"),
        (["nothing", "--out", str(out)], "unknown run 'nothing'"),
        (["--out", str(out), "--figures", str(tmp_path / "empty")], "no .svg file there"),
        (["--split", "dev"], "unrecognized arguments: --split"),
    ):
        assert main(["report", *words, "--output", str(tmp_path / "page.html")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("ptv2: error: ")
        assert expected in line
    assert not (tmp_path / "page.html").exists()


def test_runs_can_be_named(out: Path) -> None:
    tree = page(out, "roles-tiny-prompt-tuning-0", str(out / "made-tiny-fine-tuning-0000000002"))
    assert len(data(tree)["runs"]) == 2


def test_a_page_is_made_without_torch(out: Path, tmp_path: Path) -> None:
    ask = (
        "import sys\nfrom ptv2.cli import main\ncode = main(sys.argv[1:])\n"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'accelerate'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else code)\n"
    )
    done = finish(
        python("-c", ask, "report", "--out", str(out), "--output", str(tmp_path / "page.html"), COLUMNS="300")
    )
    assert (done.code, done.out) == (0, "")
    assert done.err == f"written: {tmp_path / 'page.html'} (11 runs, 7 of them finished)\n"


def test_a_thousand_runs_make_a_small_page_soon(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    lines = [json.dumps({"step": step, "loss": 1 + 1 / step, "lr": 0.1}) for step in range(1, 201)]
    lines += [json.dumps({"step": 20 * n, "epoch": n, "dev": {"accuracy": 70 + n / 7}}) for n in range(1, 11)]
    for task in range(25):
        for number in range(40):
            method, seed = ("fine-tuning", "p-tuning-v2")[number % 2], number // 2 % 5
            config = {"task": {"name": f"task{task}"}, "optim": {"lr": 0.01 / (1 + number // 10)}}
            made = result(method, seed, 70 + number**2 % 7, test=60.0, config=config)
            made = replace(made, task=f"task{task}", name=f"task{task}-tiny-{method}-{number}")
            folder = runs / made.name
            folder.mkdir(parents=True)
            (folder / "config.yaml").write_text("{}")
            (folder / "result.json").write_text(
                json.dumps({**asdict(made), "task": f"task{task}", "name": folder.name})
            )
            (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    started = time.process_time()
    assert main(["report", "--out", str(runs), "--output", str(tmp_path / "page.html")]) == 0
    assert time.process_time() - started < 20
    text = (tmp_path / "page.html").read_text()
    assert len(text) < 5_000_000
    assert text.count('<tbody class="row"') == 2 * 25 * 8 + 1000


# A browser

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_a_browser = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")


def drawn(out: Path, tmp_path: Path, fragment: str) -> Element:
    """The page as a browser has it after its script ran."""
    page(out)
    words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    address = f"{(out.parent / 'report.html').as_uri()}#{fragment}"
    done = subprocess.run([str(BROWSER), *words, address], capture_output=True, text=True, check=True, timeout=TIMEOUT)
    return Tree(done.stdout).root


@needs_a_browser
def test_a_browser_filters_and_draws(out: Path, tmp_path: Path) -> None:
    tree = drawn(out, tmp_path, "task=made&method=p-tuning-v2&split=test&words=P+20")
    assert "script" in tree.one("html").attributes["class"]
    shown = [row for row in tree.all("tbody", class_="row") if "hidden" not in row.attributes]
    assert {row.attributes["data-method"] for row in shown} == {"p-tuning-v2"}
    assert len(shown) == 1 + 1 + 3  # a row of each split, of which one is seen, and the finished runs
    assert [one.attributes["data-split"] for one in tree.all("div", class_="on")] == ["test"]
    assert tree.one("output").text == "1 of 3 results, 3 of 11 runs shown"
    captions = [one.text for one in tree.all("figcaption")]
    assert captions == ["made", "dev", "training loss"]
    assert len(tree.one("div", id="size-charts").all("path")) == 1
    assert len(tree.one("div", id="curve-charts").all("path")) == 2 * 3 + 3  # and the list of seeds


@needs_a_browser
def test_a_browser_opens_a_runs_details(out: Path, tmp_path: Path) -> None:
    names = [run["name"] for run in data(page(out))["runs"]]
    tree = drawn(out, tmp_path, f"run-{names.index('roles-tiny-prompt-tuning-0')}")
    (inside,) = tree.all("div", class_="inside")
    for text in ("60.25", "44.13", "12 texts were cut", "A0", "33.3", "10 of 1,000 parameters (1 %)", "training 1:31"):
        assert text in inside.text
    assert [one.text for one in inside.all("figcaption")] == ["dev", "training loss"]


@needs_a_browser
def test_an_empty_filter_says_why(out: Path, tmp_path: Path) -> None:
    tree = drawn(out, tmp_path, "task=made&words=P+qwerty")
    empty = tree.one("div", id="empty")
    assert "hidden" not in empty.attributes
    assert empty.one("p").text == "No run is shown: “qwerty” is not in the text of any of the 11 runs."
    assert empty.one("button").attributes == {"type": "reset", "form": "filter"}
    tree = drawn(out, tmp_path, "task=roles&method=p-tuning-v2")
    expected = "none of the 11 runs has all of task roles, method p-tuning-v2, though each of these has some."
    assert tree.one("div", id="empty").one("p").text == f"No run is shown: {expected}"
    assert "hidden" in drawn(out, tmp_path, "task=made").one("div", id="empty").attributes


CLASSES = ["very good", "Überweisung, nicht angekommen", "__proto__", "<b>", *(f"intent {n}, long" for n in range(26))]


def of_classes(splits: dict[str, tuple[list[str], int]]) -> dict[str, Any]:
    """`parts` and `confusion` as a run has them, of so many examples; every seventh is taken for the class after."""
    found: dict[str, Any] = {"parts": {}, "confusion": {}}
    for split, (labels, count) in splits.items():
        right = [number % len(labels) for number in range(count)]
        said = [(label + (number % 7 == 0)) % len(labels) for number, label in enumerate(right)]
        found["parts"][split] = in_percent(dict(zip(labels, by_class(said, right, len(labels)), strict=True)))
        rows = zip(labels, confusion(said, right, len(labels)), strict=True)
        found["confusion"][split] = {
            label: {other: n for other, n in zip(labels, row, strict=True) if n} for label, row in rows
        }
    return found


@needs_a_browser
def test_a_browser_shows_classes_and_what_they_are_taken_for(tmp_path: Path) -> None:
    few, many = CLASSES[:4], [f"intent {n}" for n in range(150)]
    runs = tmp_path / "runs"
    write(runs, replace(result("p-tuning-v2", 1, 70.0), **of_classes({"dev": (few, 40), "test": (many, 1500)})))
    tree = drawn(runs, tmp_path, "run-0")
    by_few, matrix, by_many, pairs = (one.one("table") for one in tree.all("div", class_="scroll"))
    header, *lines = [[cell.text for cell in row.all("th") + row.all("td")] for row in by_few.all("tr")]
    assert header == ["class", "precision", "recall", "f1", "support", "predicted"]
    assert [line[0] for line in lines] == few
    assert lines[0] == ["very good", "80.0", "80.0", "80.0", "10", "10"]
    header, *lines = [[cell.text for cell in row.all("th") + row.all("td")] for row in matrix.all("tr")]
    assert header == ["right", *few]
    assert lines[0] == ["very good", "8", "2", "0", "0"]
    assert lines[3] == ["<b>", "2", "0", "0", "8"]
    assert len(by_many.all("tr")) == 151
    assert len(pairs.all("tr")) == 1 + 40
    told = "215 of 1,500 examples are wrong, in 150 ways; these 40 are the most frequent, and result.json has them all."
    assert told in tree.one("div", class_="inside").text


def test_the_page_of_many_classes_stays_small(tmp_path: Path) -> None:
    labels = [f"an intent with a long name {n:03}" for n in range(150)]
    scores = of_classes({"dev": (labels, 3001), "test": (labels, 3001)})
    for seed in range(20):
        write(tmp_path / "runs", replace(result("p-tuning-v2", seed, 70.0), **scores))
    tree = page(tmp_path / "runs")
    assert len(tree.one("script", type="application/json").text) < 400_000
    (one, *_) = data(tree)["runs"]
    cells = one["confusion"]["dev"]["cells"]
    assert len(cells) == 40
    assert (one["confusion"]["dev"]["wrong"], one["confusion"]["dev"]["total"]) == (429, 3001)
    assert cells == sorted(cells, key=lambda cell: -cell[2])


@needs_a_browser
def test_a_browser_tells_seeds_apart(out: Path, tmp_path: Path) -> None:
    tree = drawn(out, tmp_path, "task=made&method=p-tuning-v2")
    (chart, _) = tree.one("div", id="curve-charts").all("figure")
    strokes = [path.attributes["class"] for path in chart.all("path")]
    assert len(set(strokes)) == len(strokes) == 3
    (line,) = tree.one("ul", class_="key").all("li")
    assert line.one("span").text == "p-tuning-v2, P 20, lr 0.005, 10 epochs"
    assert [link.text for link in line.all("a")] == ["seed 1", "seed 2", "seed 3"]
    assert [link.one("path").attributes["class"] for link in line.all("a")] == strokes


@needs_a_browser
def test_a_browser_draws_the_loss_of_a_run_of_one_step(tmp_path: Path) -> None:
    folder = write(tmp_path / "runs", result("p-tuning-v2", 1, 70.0))
    lines = [{"step": 1, "loss": 0.7}, {"step": 1, "epoch": 1.0, "dev": {"accuracy": 70.0}}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tree = drawn(tmp_path / "runs", tmp_path, "")
    assert [len(one.all("circle")) for one in tree.one("div", id="curve-charts").all("figure")] == [1, 1]


MEASURE = """<iframe src="report.html#{fragment}" width="{width}" height="900"></iframe><pre></pre><script>
onload = () => setTimeout(() => {{
  const page = frames[0].document, wide = [];
  const parts = "td, th, dd, dt, p, h1, h2, h3, li, a, label, caption, figcaption, svg, .scroll";
  for (const part of page.querySelectorAll(parts)) {{
    if (part.parentNode.closest(".scroll")) continue;  // it scrolls, and says so with its bars
    const box = part.getBoundingClientRect();
    const outside = box.right > {width} + 0.5 || (box.left < -0.5 && box.left > -200);  // a skip link is far away
    const cut = part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).overflowX === "hidden";
    if (box.width && (outside || cut)) wide.push(part.outerHTML.slice(0, 200));
  }}
  document.querySelector("pre").textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth, inner: frames[0].innerWidth, wide: wide.slice(0, 5)}});
}}, 300);
</script>"""


@needs_a_browser
@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("opened", [False, True])
def test_nothing_is_cut(width: int, opened: bool, out: Path, tmp_path: Path) -> None:
    """No part of the page lies outside of it, with names and settings as long as they get."""
    long = result("p-tuning-v2", 12345, 70.0, test=61.5, config={"prompt": {"length": 128, "init": "vocabulary"}})
    name = "a-task-with-a-very-long-name-of-its-own-my-own-backbone-of-seven-billion-p-tuning-v2-0123456789"
    write(
        out,
        replace(
            long,
            name=name,
            notes=["word " * 60, "x" * 300],
            data={**long.data, "source": {"train": "y" * 200}},
            **of_classes({"dev": (CLASSES[:2], 30), "test": (CLASSES, 90)}),
        ),
    )
    write(out, None, "failed-" + "z" * 90, state="failed", message="DataError: " + "w" * 200)
    names = [run["name"] for run in data(page(out))["runs"]]
    fragment = f"run-{names.index(name)}" if opened else ""
    wrapper = out.parent / "measure.html"
    wrapper.write_text(MEASURE.format(width=width, fragment=fragment))
    words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    words += ["--allow-file-access-from-files", "--virtual-time-budget=5000", "--window-size=1400,1000"]
    done = subprocess.run(
        [str(BROWSER), *words, wrapper.as_uri()], capture_output=True, text=True, check=True, timeout=300
    )
    measured = re.search(r"<pre>(.+?)</pre>", done.stdout, re.DOTALL)
    assert measured is not None, done.stdout[-500:]
    told = json.loads(html.unescape(measured.group(1)))
    assert told["wide"] == []
    assert told["width"] <= told["inner"] <= width
