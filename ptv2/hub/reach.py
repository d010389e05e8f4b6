"""Whether anything answers at the hub's address, before anything is asked of it."""

from __future__ import annotations

import socket
from functools import cache
from urllib.parse import urlsplit

from huggingface_hub import constants

from ptv2.hub.causes import proxy_of

PATIENCE = 3.0  # seconds that the hub has to answer
PORTS = {"https": 443, "socks5": 1080, "socks5h": 1080, "socks4": 1080}


@cache
def why_unreachable() -> str | None:
    """Why the hub cannot be reached, directly or through the environment's proxy, tried once; None if it can."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    address = urlsplit(constants.ENDPOINT)
    if proxy := proxy_of(address.scheme, address.hostname or ""):
        address = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    try:
        if not address.hostname:  # would mean this machine
            raise ValueError("no host")
        socket.create_connection((address.hostname, address.port or PORTS.get(address.scheme, 80)), PATIENCE).close()
    except (OSError, ValueError):  # the latter also where a port is no number
        return "the hub is not reachable"
    return None
