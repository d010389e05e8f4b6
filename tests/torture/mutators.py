"""Small changes of files: of bytes, of lines, and of values within JSON and YAML."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable
from typing import Any

# Words for values that JSON and Python write in no other way; they take the place of a text after writing.
RAW = ["1e999", "-Infinity", "NaN", "-0", "00", "'x'", "[" * 5000, '{"a": 1, "a": 2}', "1" * 5000, "undefined", ""]
MARK = "raw-value-"
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 0.5, 1e300, 10**30, -(2**63), 3.0),
    *(
        "",
        " ",
        "x",
        "0",
        "1",
        "null",
        "true",
        "NaN",
        "\n",
        "\t",
        "\x00",
        "é",
        "👍",
        "\ud800",
        "a" * 5000,
        "-",
        "*",
        "O",
    ),
    *(
        [],
        {},
        [[]],
        [None],
        {"": None},
        ["a", "b"],
        [1],
        {"a": {"b": []}},
        "../../x",
        "/etc/passwd",
        "[1, 2]",
        "{'a': 1}",
    ),
    *("${oc.env:HOME}", "${task.name}", "B-", "I-PER", "(A0*", "\u2028", "\u00a0", "\ufeff", "¹", "1e5", "1,5", "~"),
    *(f"{MARK}{number}" for number in range(len(RAW))),
]
PIECES = [
    *(b"\x00", b"\xff", b"\r", b"\n", b"\r\n", b"\n\n", b"\t", b" ", b'"', b"'", b",", b";", b"{", b"}", b"[", b"]"),
    *(
        b":",
        b"\\",
        b"\\ud800",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\xc2\xa0",
        b"#",
        b"-",
        b"*",
        b"(",
        b")",
        b"&a",
        b"!!",
    ),
    *(
        b"null",
        b"NaN",
        b"-1",
        b"1e999",
        b"...",
        b"---\n",
        b"%",
        b"\x1b[31m",
        b"\xed\xa0\x80",
        b"<<: *a",
        b"? ",
        b"|",
        b">",
    ),
]

Change = tuple[str, bytes]  # what was done, and the content after it


def mutate(draw: random.Random, content: bytes, kind: str) -> Change:
    """Change content in one to three places, mostly one.

    Args:
        kind: `lines` (JSON lines), `json`, `yaml` or `bytes`: what has values within it that can be changed.
    """
    said = []
    for _ in range(draw.choice((1, 1, 1, 1, 2, 3))):
        structured = kind != "bytes" and draw.random() < 0.6
        try:
            about, content = _in_values(draw, content, kind) if structured else _in_bytes(draw, content)
        except Exception:  # no longer of its kind (parsers raise many things), or nothing there to change
            about, content = _in_bytes(draw, content)
        said.append(about)
    return "; ".join(said), content


def flip_bit(draw: random.Random, content: bytes) -> Change:
    """Turn one bit."""
    at, bit = draw.randrange(len(content)), draw.randrange(8)
    return f"bit {bit} of byte {at}", content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]


def _in_bytes(draw: random.Random, content: bytes) -> Change:
    change = draw.choice(BYTE_CHANGES)
    about, content = change(draw, content or b" ")
    return about, content


def _replace_piece(draw: random.Random, content: bytes) -> Change:
    piece, at = draw.choice(PIECES), draw.randrange(len(content))
    width = draw.choice((0, 0, 1, len(piece)))
    return f"{piece!r} for {width} bytes at {at}", content[:at] + piece + content[at + width :]


def _cut(draw: random.Random, content: bytes) -> Change:
    at = draw.randrange(len(content))
    return f"cut after {at} bytes", content[:at]


def _drop(draw: random.Random, content: bytes) -> Change:
    at, width = draw.randrange(len(content)), draw.choice((1, 2, 7, 40, 300))
    return f"{width} bytes less at {at}", content[:at] + content[at + width :]


def _double(draw: random.Random, content: bytes) -> Change:
    at, width = draw.randrange(len(content)), draw.choice((1, 7, 40, 300))
    return f"{width} bytes twice at {at}", content[: at + width] + content[at:]


def _random_bytes(draw: random.Random, content: bytes) -> Change:
    at, width = draw.randrange(len(content)), draw.choice((1, 4, 30))
    return f"{width} random bytes at {at}", content[:at] + draw.randbytes(width) + content[at + width :]


def _on_lines(draw: random.Random, content: bytes) -> Change:
    lines = content.splitlines(keepends=True)
    at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    about = draw.choice(("line {} less", "line {} twice", "lines {} and {} change places", "blank line before {}"))
    if "less" in about:
        del lines[at]
    elif "twice" in about:
        lines.insert(other, lines[at])
    elif "places" in about:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines.insert(at, draw.choice((b"\n", b" \n", b"\t\n", b"\r\n")))
    return about.format(at, other), b"".join(lines)


def _whole(draw: random.Random, content: bytes) -> Change:
    text = content.decode("utf-8", "replace")
    ways: dict[str, Callable[[], bytes]] = {
        "empty": lambda: b"",
        "CR line ends": lambda: content.replace(b"\n", b"\r"),
        "CRLF line ends": lambda: content.replace(b"\n", b"\r\n"),
        "UTF-16": lambda: text.encode("utf-16", "replace"),
        "UTF-16 without a mark": lambda: text.encode("utf-16-le", "replace"),
        "UTF-32": lambda: text.encode("utf-32", "replace"),
        "BOM before": lambda: b"\xef\xbb\xbf" + content,
        "gzip": lambda: gzip.compress(content, mtime=0),
        "twice": lambda: content + content,
        "zeros": lambda: bytes(len(content)),
        "zeros behind": lambda: content + bytes(64),
        "no line end": lambda: content.rstrip(b"\n"),
        "one line": lambda: content.replace(b"\n", b" "),
        "tabs for blanks": lambda: content.replace(b" ", b"\t"),
        "quotation marks doubled": lambda: content.replace(b'"', b'""'),
        "single quotation marks": lambda: content.replace(b'"', b"'"),
        "upper case": lambda: content.upper(),
        "random": lambda: draw.randbytes(len(content) % 5000),
    }
    name = draw.choice(sorted(ways))
    return name, ways[name]()


BYTE_CHANGES = [flip_bit, _replace_piece, _replace_piece, _cut, _drop, _double, _random_bytes, _on_lines, _whole]


def _in_values(draw: random.Random, content: bytes, kind: str) -> Change:
    text = content.decode()
    if kind == "lines":
        lines = text.split("\n")
        at = draw.randrange(len(lines))
        about, tree = change_tree(draw, json.loads(lines[at]))
        lines[at] = write_json(tree)
        return f"line {at}: {about}", "\n".join(lines).encode()
    if kind == "json":
        about, tree = change_tree(draw, json.loads(text))
        return about, write_json(tree, indent=draw.choice((None, 1))).encode()
    import yaml

    comments = "".join(f"{line}\n" for line in text.splitlines() if line.startswith("# @package"))
    about, tree = change_tree(draw, yaml.safe_load(text))
    return about, (comments + _with_raw(yaml.safe_dump(tree, allow_unicode=False, sort_keys=False))).encode()


def write_json(tree: Any, indent: int | None = None) -> str:
    """JSON as Python writes it, with the raw values in their places."""
    return _with_raw(json.dumps(tree, indent=indent))


def _with_raw(text: str) -> str:
    for number in reversed(range(len(RAW))):  # 10 before 1
        text = text.replace(f'"{MARK}{number}"', RAW[number]).replace(f"{MARK}{number}", RAW[number])
    return text


def change_tree(draw: random.Random, tree: Any) -> tuple[str, Any]:
    """A copy of a tree of lists and objects with one value, key or member changed, and what was changed."""
    tree = copy.deepcopy(tree)
    places = list(_places(tree, ()))
    path, holder, key = draw.choice(places)
    where = ".".join(map(str, path))
    way = draw.choice(
        ("value", "value", "value", "value", "less", "renamed", "more", "swapped", "nested", "of another")
    )
    if way == "less":
        del holder[key]
    elif way == "renamed" and isinstance(holder, dict):
        holder[draw.choice((f"{key} ", str(key).upper(), "", f"x{key}", "text", "label"))] = holder.pop(key)
    elif way == "more" and isinstance(holder, dict):
        holder[draw.choice(("more", "id", "idx", "text", "label", "hydra", "_target_", "defaults"))] = value(draw)
    elif way == "more":
        holder.insert(key, copy.deepcopy(holder[key]))
    elif way == "swapped":
        _, other, second = draw.choice(places)
        holder[key], other[second] = copy.deepcopy(other[second]), copy.deepcopy(holder[key])
    elif way == "nested":
        holder[key] = draw.choice((lambda v: [v], lambda v: {"x": v}, lambda v: str(v), lambda v: [v, v]))(holder[key])
    elif way == "of another":
        _, other, second = draw.choice(places)
        holder[key] = copy.deepcopy(other[second])
    else:
        holder[key] = value(draw)
        way = f"{str(holder[key])[:20]!r}"
    return f"{where}: {way}", tree


def value(draw: random.Random) -> Any:
    """Some value that is probably out of place."""
    return copy.deepcopy(draw.choice(VALUES))


def _places(tree: Any, path: tuple[Any, ...]) -> Any:
    """Path, holder and key of every value."""
    members = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, inner in list(members):
        yield (*path, key), tree, key
        yield from _places(inner, (*path, key))
