"""The page from runs written by hand: all numbers are there, nothing from outside is, and no name is markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from commandline import finish, python
from records import result
from report_pages import EVIL, data, page, run_of, write

from ptv2.cli import main
from ptv2.report import tables
from ptv2.report.html.shown import WITHOUT_A_WORD
from ptv2.run_folders.record import Result

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
    assert run["differing"] == {"optim.lr": 0.0123456789, "prompt.length": 7, "seed": 4}
    assert run["lacking"] == []
    assert usual["optim.lr"] == 0.02
    assert not [key for key in data(tree)["common"]["made"]["fine-tuning"] if key.startswith("prompt.")]


def test_the_recipe_is_told(out: Path) -> None:
    recipe = {"name": "rte/x", "kind": "published", "source": "run_rte.sh", "changed": {"optim.lr": 0.005}}
    made = result("p-tuning-v2", 5, 70.0)
    write(out, replace(made, config={**made.config, "recipe": recipe}))
    run = run_of(page(out), made.name)
    assert run["recipe"] == recipe
    assert not [key for key in run["differing"] if key.startswith("recipe")]


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
        (["--split", "dev"], "unknown option '--split'; known: "),
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
