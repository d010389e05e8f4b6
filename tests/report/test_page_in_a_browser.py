"""What a browser draws and filters on the page, and pages of many classes."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commandline import TIMEOUT
from records import result
from report_pages import Element, Tree, data, page, write

from ptv2.metrics.accuracy import by_class, confusion
from ptv2.tasks.task import in_percent

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
def test_of_many_runs_the_first_are_shown_until_all_are_asked_for(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for seed in range(210):
        write(runs, result("p-tuning-v2", seed, 70.0))
    tree = drawn(runs, tmp_path, "")
    rows = tree.one("section", id="runs").all("tbody", class_="row")
    assert ["late" in row.attributes["class"] for row in rows] == [False] * 200 + [True] * 10
    assert tree.one("output").text == "1 of 1 results, 210 of 210 runs shown"
    (button,) = (one for one in tree.all("button", class_="whole") if "hidden" not in one.attributes)
    assert button.text == "Show all 210 rows"
    tree = drawn(runs, tmp_path, "run-209")  # a link to one of the others
    row = tree.one("tbody", id="run-209")
    assert "late" not in row.attributes["class"]
    assert row.all("div", class_="inside")


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
    assert line.one("span").text == "p-tuning-v2, P 20, lr 0.03, 10 epochs"
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
