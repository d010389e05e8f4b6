"""`ptv2 export --push` against a hub on loopback: what goes there, what does not, and what can go wrong."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from commandline import Done, run, train_words, write_backbone, write_sentences
from huggingface_hub import constants

from ptv2.errors import ConfigError, ModelError, NetworkError, Ptv2Error
from ptv2.hub.push import Pushed, check_access, check_repository, push_folder

sys.path.append(str(Path(__file__).parents[1]))
from hub_commands import Shell
from hub_files import commit, files, revision_folder
from hub_server import Fault, HubServer

TOKEN = "hf_aSecretOfMine"
CARD = "---\nlicense: mit\n---\n# An adapter\n"
NAMES = ["README.md", "adapter_config.json", "adapter_model.safetensors"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    (tmp_path / "hub" / "models").mkdir(parents=True)
    with HubServer(tmp_path / "hub") as server:
        server.writers = {TOKEN: {"me"}, "hf_ofSomebodyElse": {"you"}}
        yield server


@pytest.fixture
def folder(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An adapter's three files; this process pushes to the hub of the test, without waiting between retries."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for name, content in zip(NAMES, (CARD.encode(), b"{}", os.urandom(200_000)), strict=True):
        (adapter / name).write_bytes(content)
    return adapter


def push(folder: Path, repository: str = "me/adapter", *, private: bool = False, overwrite: bool = False) -> Pushed:
    return push_folder(folder, repository, "ptv2: a run", private=private, overwrite=overwrite)


def refusal(folder: Path, repository: str = "me/adapter", kind: type[Ptv2Error] = ModelError, **options: bool) -> str:
    with pytest.raises(kind) as caught:
        push(folder, repository, **options)
    text = str(caught.value)
    assert len(text) <= 300
    assert TOKEN not in text
    return text


def there(hub: HubServer, repository: str = "me/adapter") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in files(hub.root / "models" / repository / "main")}


def test_a_push_is_one_commit_and_a_second_none(hub: HubServer, folder: Path) -> None:
    whole = {name: (folder / name).read_bytes() for name in NAMES}
    (folder / ".env").write_text("SECRET=1")
    (folder / ".cache").mkdir()
    pushed = push(folder)
    assert pushed == Pushed(f"{hub.url}/me/adapter", commit(hub.root / "models/me/adapter/main"), is_new=True)
    content = there(hub)
    assert content.pop(".gitattributes")
    assert content == whole
    assert hub.private == set()
    assert push(folder) == Pushed(pushed.address, pushed.commit, is_new=False)
    assert len(hub.commits) == 1


def test_a_private_repository(hub: HubServer, folder: Path) -> None:
    push(folder, private=True)
    assert hub.private == {"me/adapter"}
    push(folder, "me/open")
    assert refusal(folder, "me/open", private=True) == (
        "me/open: it exists and is public; make it private on the hub, or take another name"
    )


def test_what_is_there_is_not_replaced_unasked(hub: HubServer, folder: Path) -> None:
    push(folder)
    (hub.root / "models/me/adapter/main/notes.txt").write_text("mine")
    (folder / "README.md").write_text(CARD + "More.\n")
    message = refusal(folder)
    assert message == (
        "me/adapter: it has other contents (README.md, notes.txt); take another name, or --overwrite replaces those of "
        "its files that are pushed"
    )
    assert len(hub.commits) == 1
    assert push(folder, overwrite=True).is_new
    assert list(hub.commits[1]) == ["README.md"], "what is equal is not sent again"
    assert there(hub)["notes.txt"] == b"mine", "what is not pushed stays"
    assert not push(folder, overwrite=True).is_new


FAULTS = {
    "busy": (Fault(429), "status 429", "too many requests; wait some minutes; nothing was pushed"),
    "down": (
        Fault(503, at="/preupload/"),
        "status 503",
        "try again later; no file was pushed; the same command goes on",
    ),
    "half": (Fault(end=50_000), "broke off; try again", "no file was pushed; the same command goes on"),
    "late": (Fault(502, at="/commit/"), "status 502", "try again later; no file was pushed; the same command goes on"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_interrupted_push_goes_on(name: str, hub: HubServer, folder: Path) -> None:
    fault, words, end = FAULTS[name]
    hub.faults["me/adapter"] = fault
    message = refusal(folder, kind=NetworkError)
    assert words in message
    assert message.endswith(end)
    assert hub.commits == []
    hub.faults.clear()
    assert push(folder).is_new
    assert len(hub.commits) == 1


def test_retries_that_help(hub: HubServer, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hub.faults["me/adapter"] = Fault(503, at="/preupload/", times=2)
    assert push(folder).is_new
    assert "answered with status 503; trying again" in capfd.readouterr().err


def test_tokens_that_may_not(hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(folder, "you/adapter")
    assert "status 403: You don't have the rights to create a model under the namespace" in message
    assert "an organization of yours, and the token needs write access; nothing was pushed" in message
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    message = refusal(folder)
    assert "status 401: Invalid username or password; it does not take this HF_TOKEN" in message
    push_by_owner = revision_folder(hub.root, "models", "you/theirs")
    (push_by_owner / ".gitattributes").write_text("")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "status 403" in refusal(folder, "you/theirs"), "one that exists and takes files of its owner only"
    assert list(there(hub, "you/theirs")) == [".gitattributes"]


def test_a_card_that_the_hub_refuses(hub: HubServer, folder: Path) -> None:
    (folder / "README.md").write_text(CARD.replace("mit", "gpl-17"))
    assert refusal(folder).startswith(f'me/adapter: {hub.url} refuses it: "license" must be one of [apache-2.0, mit')
    assert list((hub.root / "models").iterdir()) == [], "nothing is created for it"


def test_somebody_else_was_faster(hub: HubServer, folder: Path) -> None:
    push(folder)
    (folder / "README.md").write_text(CARD + "More.\n")
    hub.faults["me/adapter"] = Fault(412, at="/commit/")
    assert "somebody else changed the repository at the same time" in refusal(folder, overwrite=True)


def test_nobody_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert refusal(folder, kind=NetworkError) == (
        "me/adapter: the hub at http://127.0.0.1:9 is not reachable (Connection refused); nothing was pushed"
    )


@pytest.mark.parametrize("name", ["adapter", "a/b/c", "me/", "me/ad apter", "me/--x", "/tmp/adapter", ""])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match="expected OWNER/NAME"):
        check_repository(name)


def test_what_is_known_before_asking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="set HF_TOKEN, or run `hf auth login`"):
        check_access()
    (tmp_path / "token").write_text(TOKEN)  # as a login keeps it
    check_access()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="HF_HUB_OFFLINE is set"):
        check_access()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on data and a backbone in folders whose names are nobody's business."""
    folder = tmp_path_factory.mktemp("patients")
    data, base = write_sentences(folder / "their-letters"), write_backbone(folder / "base")
    words = [word for word in train_words(data, folder / "runs", "prompt.length=3") if not word.startswith("model=")]
    done = run([*words, f"model.path={base}", "trainer.max_steps=2", "seed=1,2", "-m"], folder)
    assert done.code == 0, done.err
    return sorted((folder / "runs").glob("*/result.json"))[0].parent


def export(trained: Path, tmp_path: Path, *words: str) -> Done:
    return run(["export", str(trained), "--to", "peft", *words], tmp_path, environment={"HF_TOKEN": TOKEN})


def test_what_would_go_is_shown(trained: Path, tmp_path: Path) -> None:
    """Without asking the hub: this process knows no other address than the real one's, and has no network."""
    done = export(trained, tmp_path, "--push", "me/adapter", "--private")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[:3] == [
        "repository  me/adapter",
        "visibility  private",
        "licence     not given; --yes needs --licence ID",
    ]
    assert [line.split()[1] for line in lines[3:6]] == NAMES
    assert "## Scores" in lines
    assert done.err.strip() == "nothing was pushed; the same command with --yes pushes it"


def test_options_that_do_not_go_together(trained: Path, tmp_path: Path) -> None:
    def error(*words: str) -> str:
        done = export(trained, tmp_path, *words)
        assert done.code == 2
        return done.error

    assert error() == "expected --output DIR, --push OWNER/NAME, or both"
    assert error("--output", "x", "--yes") == "--yes: expected --push OWNER/NAME with it"
    assert error("--output", "x", "--private") == "--private: expected --push OWNER/NAME with it"
    assert error("--push", "adapter") == (
        "--push adapter: expected OWNER/NAME, with your name on the hub or an organization's"
    )
    assert error("--push", "me/adapter", "--yes").startswith("--push needs --licence ID, such as apache-2.0, mit")
    assert error("--push", "me/adapter", "--licence", "MIT License").startswith("--licence MIT License: expected an ID")


def test_the_whole_way(trained: Path, hub: HubServer, tmp_path: Path) -> None:
    """A run is pushed, whoever looks at the repository learns what it is, and nothing of its maker."""
    words = ["export", str(trained), "--to", "peft", "--push", "me/adapter", "--yes", "--licence", "mit"]
    environment = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
    with Shell(tmp_path / "commands", "all", **environment) as shell:
        done, again = (shell.run({"push": (words, {})})["push"] for _ in range(2))
    assert done.code == 0, done.err
    sha = commit(hub.root / "models/me/adapter/main")
    assert done.out.splitlines()[-1] == f"pushed: {hub.url}/me/adapter (commit {sha[:12]})"
    assert (
        again.out.splitlines()[-1] == f"nothing new, it has all of it already: {hub.url}/me/adapter (commit {sha[:12]})"
    )
    (pushed,) = hub.commits
    assert sorted(pushed) == NAMES
    sentences = [json.loads(line)["sentence"] for line in (trained.parents[1] / "their-letters/train.jsonl").open()]
    private = [str(trained.parents[1]), "patients", "their-letters", TOKEN, *sentences]
    for name, content in pushed.items():
        assert [text for text in private if text.encode() in content] == [], name

    card = pushed["README.md"].decode()
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert "base_model" not in metadata, "a folder is no name on the hub"
    result = json.loads((trained / "result.json").read_text(encoding="utf-8"))
    assert {key: metadata[key] for key in ("library_name", "license", "pipeline_tag", "tags")} == {
        "library_name": "peft",
        "license": "mit",
        "pipeline_tag": "text-classification",
        "tags": ["ptv2", "p-tuning-v2"],
    }
    (index,) = metadata["model-index"]
    scores = {
        (each["dataset"]["split"], metric["name"]): metric["value"]
        for each in index["results"]
        for metric in each["metrics"]
    }
    assert scores["dev", "accuracy (%)"] == round(result["dev"]["accuracy"], 2)
    assert scores["test", "accuracy (%)"] == round(result["test"]["accuracy"], 2)
    assert 'PeftModel.from_pretrained(base, "me/adapter")' in card
    assert f"| split | metric | seed {result['seed']}, this adapter | seeds 1, 2 |" in card
    assert f"| dev | accuracy | {result['dev']['accuracy']:.2f} | " in card
    assert "examples: 70 train, 40 dev, 25 test." in card
    assert "torch 2" in card
    command = next(line for line in card.splitlines() if line.startswith("ptv2 train "))
    assert "data.dir=DIR model.path=FOLDER" in command
    assert f"seed={result['seed']}" in command
    assert "prompt.length=3" in command


def test_the_command_of_a_run_on_a_part_of_its_data() -> None:
    """Run again, it makes the same run, and not one on all examples."""
    from ptv2.config.compose import compose
    from ptv2.config.identity import decisive
    from ptv2.interchange.about import _command

    words = ["task=rte", "model=minilm", "data.source=files", "data.dir=DIR", "data.limit.dev=50", "data.shots=8"]
    config = compose([*words, "data.seed=3", "seed=2", "out=somewhere"])
    command = shlex.split(_command(config))
    assert command[:2] == ["ptv2", "train"]
    assert {"data.limit.dev=50", "data.shots=8", "data.seed=3"} <= set(command)
    assert decisive(compose(command[2:])) == decisive(config)
