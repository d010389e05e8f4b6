"""Imports run downward: the floors are those that CONTRIBUTING.md draws."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("ptv2/**/*.py"), *ROOT.glob("hydra_plugins/**/*.py")])


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def floors() -> dict[str, int]:
    """The floor of each room, the ground floor 0."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawing = re.search(r"## The house.*?```text\n(.*?)```", text, re.DOTALL)
    assert drawing is not None
    rooms = [re.split(r"\s{2,}", line)[0].split(", ") for line in drawing[1].splitlines()]
    return {room: len(rooms) - number for number, names in enumerate(rooms) for room in names}


def imports(module: str) -> Iterator[str]:
    """The modules of ours that a module imports anywhere, within functions too."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in names]
        else:
            continue
        yield from (name for name in names if name in MODULES and name != "ptv2")


def room_of(module: str) -> str:
    first, _, rest = module.partition(".")
    return "hydra_plugins" if first == "hydra_plugins" else rest.partition(".")[0]


def test_every_room_has_a_floor() -> None:
    """What is drawn is there, and what is there is drawn; `ptv2` itself hands on what is asked for."""
    assert {room_of(module) for module in MODULES} - {""} == floors().keys()
    assert len(MODULES) > 200
    assert set(imports("ptv2")) <= {"ptv2.api", "ptv2.errors"}


@pytest.mark.parametrize("module", [module for module in MODULES if module != "ptv2"])
def test_imports_run_downward(module: str) -> None:
    height, room = floors(), room_of(module)
    upward = [
        name
        for name in imports(module)
        if name != "ptv2" and room_of(name) != room and height[room_of(name)] >= height[room]
    ]
    assert not upward, f"{module} (floor {height[room]}, {room}) imports {', '.join(upward)}"


def test_no_circle() -> None:
    """Modules can be put in a row in which each comes after those that it imports."""
    waiting = {module: set(imports(module)) - {module} for module in MODULES}
    while ready := {module for module, needed in waiting.items() if not needed}:
        waiting = {module: needed - ready for module, needed in waiting.items() if module not in ready}
    assert not waiting, f"modules that import each other: {', '.join(waiting)}"


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name == "commands"], ids=lambda path: path.stem)
def test_commands_are_thin(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 120


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in FILES if path.parent.name != "hydra_plugins"}), ids=str
)
def test_every_folder_says_what_lives_there(folder: Path) -> None:
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
