"""What is said of each setting: all of them, with a meaning, in the words of the code that checks them."""

from __future__ import annotations

from typing import Any

from commandline import finish, python

from ptv2.config.compose import compose
from ptv2.config.settings import list_settings, python_comments, yaml_comments


def test_every_setting_is_listed_with_its_values_and_meaning() -> None:
    settings = {setting.key: setting for setting in list_settings()}
    assert all(setting.values and setting.meaning for setting in settings.values())
    words = ["task=mini-entities", "model=tiny", "method=multitask-p-tuning-v2"]
    for key in keys(compose(words).model_dump()):
        known = {key, key.rpartition(".")[0]} & set(settings)  # a mapping, such as model.config, has keys of its own
        is_group = any(other.startswith(f"{key}.") for other in settings)  # one that is null
        assert known or is_group or key.partition(".")[0] == "recipe", key
    assert settings["optim.schedule"].values == "`linear`, `exponential`, `constant`"
    assert settings["prompt.layers"].values == "text or list of whole number"
    assert settings["prompt.length"].meaning == "prompt tokens at each layer"


def keys(tree: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in tree.items():
        found += keys(value, f"{prefix}{name}.") if isinstance(value, dict) and value else [prefix + name]
    return found


def test_comments_stand_beside_what_they_explain() -> None:
    assert yaml_comments("a: 1   # one\nb:\n  c: x  # two\n        # and more\n  d: 2\n") == {
        "a": "one",
        "b.c": "two and more",
    }
    assert python_comments("class A:\n    x: int = 1  # one\n    y: int = 2\n") == {("A", "x"): "one"}


def test_the_list_of_settings_needs_no_torch() -> None:
    code = "import sys; from ptv2.cli import main; main(['list', 'settings']); assert 'torch' not in sys.modules"
    done = finish(python("-c", code))
    assert done.code == 0, done.err
    assert any(line.split()[0] == "optim.lr" for line in done.out.splitlines())
