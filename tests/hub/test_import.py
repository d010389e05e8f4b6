"""Backbone and adapter by name and revision on the hub: the commit is kept, and later the cache is enough."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import Done, only_run, result_of, write_backbone, write_sentences

sys.path.append(str(Path(__file__).parents[1]))
from hub_commands import Commands, Shell
from hub_files import commit, revision_folder
from hub_server import HubServer


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """A hub with a backbone in one revision beside an empty main."""
    root = tmp_path_factory.mktemp("hub")
    base = write_backbone(root / "base")
    shutil.copytree(base, revision_folder(root, "models", "me/base", "refs/pr/1"), dirs_exist_ok=True)
    (revision_folder(root, "models", "me/base") / "README.md").write_text("")
    with HubServer(root) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    write_sentences(folder / "data")
    return folder


@pytest.fixture(scope="module")
def online(hub: HubServer, folder: Path) -> Iterator[Shell]:
    with Shell(folder, "all", HF_ENDPOINT=hub.url) as shell:
        yield shell


@pytest.fixture(scope="module")
def trained(online: Shell, hub: HubServer, folder: Path) -> Path:
    """A run of LoRA on that backbone, and its adapter on the hub in the revision `v1`; its main is empty."""
    settings = ["method=lora", "lora.rank=2", "trainer.max_steps=4", "trainer.batch_size=8", "optim.lr=0.03"]
    words = ["train", "task=classification", f"data.dir={folder / 'data'}", f"out={folder / 'runs'}", *settings]
    do(online, {"train": ([*words, "model.path=me/base@refs/pr/1"], {})})
    run = only_run(folder / "runs")
    do(online, {"export": (["export", str(run), "--to", "peft", "--output", str(folder / "adapter")], {})})
    shutil.copytree(folder / "adapter", revision_folder(hub.root, "models", "me/adapter", "v1"), dirs_exist_ok=True)
    (revision_folder(hub.root, "models", "me/adapter") / "README.md").write_text("")
    return run


def do(shell: Shell, commands: Commands, code: int = 0) -> dict[str, Done]:
    done = shell.run(commands)
    assert {name: each.code for name, each in done.items()} == dict.fromkeys(commands, code), done
    return done


def words_of(adapter: str, folder: Path, out: str = "imported") -> list[str]:
    return ["import", adapter, f"data.dir={folder / 'data'}", f"out={folder / out}"]


def test_a_run_keeps_the_commit_of_its_backbone(trained: Path, hub: HubServer, folder: Path) -> None:
    sha = commit(hub.root / "models/me/base/refs%2Fpr%2F1")
    assert {key: result_of(trained)["backbone"][key] for key in ("name", "revision")} == {
        "name": "me/base",
        "revision": sha,
    }
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["base_model_name_or_path"], config["revision"]) == ("me/base", sha)
    card = (folder / "adapter" / "README.md").read_text(encoding="utf-8")
    assert "\nbase_model: me/base\n" in card
    assert f"'me/base', revision='{sha}'" in card


def test_an_adapter_from_the_hub(trained: Path, online: Shell, hub: HubServer, folder: Path) -> None:
    """Its backbone is fetched by the commit that the adapter names; without a network, the cache has both."""
    adapter = commit(hub.root / "models/me/adapter/v1")
    do(online, {"import": (words_of("me/adapter@v1", folder), {})})
    imported = only_run(folder / "imported")
    assert imported.name.startswith("classification-base-lora-peft-")
    status = json.loads((imported / "status.json").read_text(encoding="utf-8"))
    assert status["message"] == f"an adapter of PEFT (me/adapter@{adapter}); not trained here"
    before = len(hub.requests)
    commands: Commands = {
        "import": (words_of("me/adapter@v1", folder, "again"), {}),
        "commit": (words_of(f"me/adapter@{adapter}", folder), {}),
        **{
            name: (["predict", str(run), "--input", str(folder / "data" / "test.jsonl")], {})
            for name, run in (("trained", trained), ("imported", imported))
        },
    }
    with Shell(folder, "all", HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1") as offline:
        done = do(offline, commands)
    assert len(hub.requests) == before
    assert only_run(folder / "imported") == imported, "the same import is the same run"
    assert only_run(folder / "again")
    assert done["trained"].out == done["imported"].out
    assert len(done["trained"].out.splitlines()) == 25


def test_what_is_no_adapter_or_not_there(trained: Path, online: Shell, hub: HubServer, folder: Path) -> None:
    adapters = {"main": "me/adapter", "revision": "me/adapter@v2", "none": "me/nothing", "folder": "./me/adapter"}
    commands: Commands = {name: (words_of(adapter, folder, "none"), {}) for name, adapter in adapters.items()}
    done = do(online, commands, code=2)
    assert done["main"].error == "me/adapter: no adapter of PEFT (the repository has no adapter_config.json)"
    assert done["revision"].error == (
        "me/adapter@v2: the repository has no such revision, v2 (a branch, tag, refs/... or commit of 40 hex digits); "
        "or give a folder with adapter_config.json"
    )
    assert done["none"].error.startswith(f"me/nothing: no such repository on {hub.url} (or a private one")
    assert done["folder"].error == "me/adapter: no adapter of PEFT (it has no adapter_config.json)"
    with Shell(folder, "hub", HF_ENDPOINT="http://127.0.0.1:9") as nowhere:
        gone = do(nowhere, {"gone": (words_of("me/other", folder), {})}, code=69)
    assert "me/other: the hub at http://127.0.0.1:9 is not reachable" in gone["gone"].error
    assert not (folder / "none").exists()
