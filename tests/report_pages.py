"""Runs written by hand, the report that `ptv2 report` makes of them, and its elements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from records import CONFIG

from ptv2.cli import main
from ptv2.run_folders.record import Result

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
