"""Whether the hub can be reached: at its own address, or through the proxy of the environment."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from huggingface_hub import constants

from ptv2.config.compose import compose
from ptv2.hub import reach
from ptv2.models import outline


@pytest.fixture
def open_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    reach.why_unreachable.cache_clear()
    yield
    reach.why_unreachable.cache_clear()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_the_hub_itself(open_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{open_port}")
    assert reach.why_unreachable() is None


def test_offline(open_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{open_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert reach.why_unreachable() == "HF_HUB_OFFLINE is set"


@pytest.mark.parametrize("proxy", ["http://user:secret@127.0.0.1:{}", "127.0.0.1:{}", "socks5h://127.0.0.1:{}"])
@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_behind_a_proxy_the_hub_has_no_address_here(
    name: str, proxy: str, open_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy.format(open_port))
    assert reach.why_unreachable() is None
    monkeypatch.setenv("no_proxy", "hub.invalid")
    reach.why_unreachable.cache_clear()
    assert reach.why_unreachable() == "the hub is not reachable"


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:{}", "http://127.0.0.1:x", "http://"])
def test_a_proxy_that_is_not_there(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", proxy.format(closed_port()))
    assert reach.why_unreachable() == "the hub is not reachable"


def test_sizes_of_a_known_model_need_no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub would be asked six times, over 24 seconds."""
    monkeypatch.setattr(outline, "fetch_config", None)
    config, origin = outline.find_config(compose(["model=roberta-large"]).model)
    assert (config.num_hidden_layers, origin.partition(":")[0]) == (
        24,
        "what conf/model says of FacebookAI/roberta-large",
    )
