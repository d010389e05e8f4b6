"""Explain why the hub failed a fetch or a push, in the same way for models, data sets and scripts."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from huggingface_hub import constants
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)
from huggingface_hub.utils import httpx

from ptv2.errors import LINE, DiskFullError, NetworkError, Ptv2Error, causes_of, first_line, has_full_disk, shorten

MOST = LINE - 20  # characters of a message, which `ptv2: error: ` precedes
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
RETRIED = (407, 408, 429)  # statuses below 500 that are no answer about the repository
STATUSES = {
    401: "it does not take this HF_TOKEN; make a new one on the hub, or unset it",
    403: "access is denied; accept its terms on the hub and set an HF_TOKEN that may read it",
    404: "it has no such repository, revision or file",
    407: "a proxy asks for a password; set HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT",
    408: "it gave up waiting; try again",
    429: "too many requests; wait some minutes, or set HF_TOKEN, which allows more",
}
# Those that mean something else for a push.
STATUSES_OF_A_PUSH = {
    401: "it does not take this HF_TOKEN; make one with write access on the hub",
    403: "this HF_TOKEN may not write there; the owner must be you or an organization of yours, and the token needs "
    "write access",
    412: "somebody else changed the repository at the same time; see what is there, and try again",
    413: "the files are too large for it",
    429: "too many requests; wait some minutes",
}
UNCACHED = " and the files are not in the cache"
_SECRET = re.compile(r"\bhf_\w+|(?<=Bearer )[^\s'\"]+")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")


@dataclass(frozen=True)
class Cause:
    """What happened and how to mend it, in one sentence; `network`: whether the network failed, not the request."""

    text: str
    network: bool = False


def failure(error: Exception, name: str, refusal: type[Ptv2Error], instead: str, *, push: bool = False) -> Ptv2Error:
    """Make the one-line error of a fetch, or a push, that failed.

    Args:
        name: what is fetched, in the user's words: a repository, or `repository@revision`.
        refusal: the class of error for a name that is wrong or access that is not granted.
        instead: what the user can do without the hub, the end of the message.
    """
    if has_full_disk(error):
        text = f"no space left for the hub's cache in {shorten(constants.HF_HUB_CACHE, 60)}"
        return DiskFullError(_message(name, text, "free some, or set HF_HOME to a folder on another disk"))
    cause = find_cause_of_push(error) if push else find_cause(error)
    return (NetworkError if cause.network else refusal)(_message(name, cause.text, instead))


def find_cause(error: BaseException) -> Cause:
    """Find the cause of an error of `huggingface_hub`, or of a library below it."""
    links = list(causes_of(error))
    for link in links:
        for ask in (_answer, _setting, _connection):
            if (cause := ask(link)) is not None:
                return cause
    if isinstance(error, LocalEntryNotFoundError):
        return Cause(f"the hub at {endpoint()} is not reachable{UNCACHED}", network=True)
    for link in links:
        if (cause := _file(link)) is not None:
            return cause
    return Cause(f"not to be had from the hub at {endpoint()} ({type(error).__name__}: {_safe(error, 80)})")


def find_cause_of_push(error: BaseException) -> Cause:
    """Find the cause of an error of `huggingface_hub` while it pushed."""
    for link in causes_of(error):
        status = getattr(getattr(link, "response", None), "status_code", None)
        if status is None or (status >= 500 and status not in STATUSES_OF_A_PUSH):
            continue
        answer = hide_secrets(" ".join(str(getattr(link, "server_message", None) or "").split()))
        meaning = STATUSES_OF_A_PUSH.get(status, "") or STATUSES.get(status, "")
        if status == 400:  # it says what
            return Cause(f"{endpoint()} refuses it: {shorten(answer or _refused(error), 150)}")
        words = "; ".join(filter(None, [shorten(answer.rstrip("."), 70), meaning]))
        return Cause(f"{endpoint()} answered with status {status}: {words}", network=status in RETRIED)
    cause = find_cause(error)
    text = cause.text.replace(UNCACHED, "").replace("the download from", "the way to")
    if text.startswith("not to be had"):
        text = f"not taken by the hub at {endpoint()} ({_refused(error)})"
    return Cause(text, cause.network)


def _refused(error: BaseException) -> str:
    """What the hub says of a card or a file that it refuses, in one line."""
    return hide_secrets(" ".join(str(error).split()).removeprefix("Invalid metadata in README.md. - "))


def endpoint() -> str:
    """Return the hub's address for a message, without a password."""
    return shorten(_CREDENTIALS.sub("", constants.ENDPOINT), 60)


def _has_token() -> bool:
    """Whether the user gave a token, in the environment or by `hf auth login`."""
    return bool(os.environ.get("HF_TOKEN", "").strip()) or os.path.exists(constants.HF_TOKEN_PATH)


def hide_secrets(text: str) -> str:
    """Remove tokens, passwords and the queries of addresses, which may be signed, from a library's text."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if len(token) > 3:
        text = text.replace(token, "***")
    return _QUERY.sub(r"\1", _CREDENTIALS.sub("", _SECRET.sub("***", text)))


def _message(name: str, text: str, instead: str) -> str:
    """Write `name: text; instead`; where that is too long, the name is cut first and then the text."""
    name = shorten(name, max(40, MOST - len(text) - len(instead) - 4))
    return f"{name}: {shorten(text, MOST - len(name) - len(instead) - 4)}; {instead}"


def _safe(error: BaseException, most: int) -> str:
    text = re.sub(r"^\[(SSL: \w+|Errno -?\d+)\] | \(_ssl.c:\d+\)", "", first_line(error, 400))
    return shorten(hide_secrets(text), most)


def _answer(error: BaseException) -> Cause | None:
    """A name that is no repository's, or an answer of the hub other than success."""
    if isinstance(error, HFValidationError):
        return Cause("neither a folder here nor a name on the hub (owner/name)")
    if isinstance(error, GatedRepoError) and _has_token():
        return Cause(f"access is restricted; accept its terms on {endpoint()} with the account of this HF_TOKEN")
    if isinstance(error, GatedRepoError):
        return Cause(f"access is restricted; accept its terms on {endpoint()} and set HF_TOKEN")
    if isinstance(error, DisabledRepoError):
        return Cause(f"the hub at {endpoint()} has disabled this repository")
    if isinstance(error, RepositoryNotFoundError):
        private = "that this HF_TOKEN may not read" if _has_token() else "which needs HF_TOKEN"
        return Cause(f"no such repository on {endpoint()} (or a private one, {private})")
    if isinstance(error, RevisionNotFoundError):
        asked = re.search(r"/(?:revision|tree|resolve)/([^/?]+)", str(error.response.url))
        given = f", {shorten(unquote(asked[1]), 40)}" if asked else ""
        return Cause(f"the repository has no such revision{given} (a branch, tag, refs/... or commit of 40 hex digits)")
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return Cause(f"the repository on {endpoint()} has no such file")
    if isinstance(error, FileMetadataError | json.JSONDecodeError):
        text = f"what answers at {endpoint()} is no hub (a login page of the network?); see HF_ENDPOINT and your proxy"
        return Cause(text, network=True)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        return None
    status = int(status)
    meaning = STATUSES.get(status, "try again later" if status >= 500 else "see whether HF_ENDPOINT is right")
    return Cause(f"{endpoint()} answered with status {status}: {meaning}", network=status in RETRIED or status >= 500)


def _setting(error: BaseException) -> Cause | None:
    """A setting of the environment that is not usable."""
    text, kind = str(error), type(error).__name__
    if isinstance(error, OfflineModeIsEnabled):
        name = "HF_HUB_OFFLINE" if "HF_HUB_OFFLINE" in os.environ else "TRANSFORMERS_OFFLINE"
        name = name if name in os.environ else "HF_HUB_OFFLINE"
        return Cause(f"{name} is set and the files are not in the cache; unset it, or fetch them where a network is")
    if kind in ("UnsupportedProtocol", "InvalidURL") and not urlsplit(constants.ENDPOINT).scheme.startswith("http"):
        given = endpoint() or "(nothing)"
        return Cause(f"HF_ENDPOINT={given} is no address; expected https://HOST, or unset it")
    if (kind == "LocalProtocolError" and "header" in text) or isinstance(error, UnicodeEncodeError):
        return Cause("HF_TOKEN has a character that no token has; copy it again, or unset it")
    if "proxy" in text.lower() and isinstance(error, ValueError | ImportError):
        return Cause(f"the proxy setting is not usable ({_safe(error, 60)}); see HTTPS_PROXY and ALL_PROXY")
    is_nameless = isinstance(error, OSError) and error.filename is None and not isinstance(error, EntryNotFoundError)
    if is_nameless and ("NO_CERTIFICATE" in text or isinstance(error, FileNotFoundError)):
        for name in CERTIFICATES:
            if path := os.environ.get(name):
                return Cause(f"{name}={shorten(path, 60)}: no file with certificates; unset it, or give such a file")
    is_token = getattr(error, "filename", None) == constants.HF_TOKEN_PATH and not isinstance(error, NotADirectoryError)
    if is_token or isinstance(error, UnicodeDecodeError):
        return Cause(f"{shorten(constants.HF_TOKEN_PATH)}: the hub's token cannot be read ({_why(error)})")
    return None


def _connection(error: BaseException) -> Cause | None:
    """A connection that could not be made, or broke off."""
    kind, message = type(error).__name__, str(error)
    if isinstance(error, HfHubHTTPError | OfflineModeIsEnabled | LocalEntryNotFoundError):
        return None
    if "CERTIFICATE_VERIFY_FAILED" in message:
        text = f"the certificate of {endpoint()} is not trusted; set SSL_CERT_FILE to your network's certificates"
    elif kind == "ProxyError" and "407" in message:
        text = STATUSES[407]
    elif kind == "ProxyError":
        text = f"the proxy refused the way to {endpoint()} ({_safe(error, 50)}); see HTTPS_PROXY and NO_PROXY"
    elif isinstance(error, httpx.TimeoutException | TimeoutError):
        text = f"no answer in time from {endpoint()}; try again, with HF_HUB_DOWNLOAD_TIMEOUT=60 if it is slow"
    elif isinstance(error, httpx.ConnectError | ConnectionRefusedError):
        text = f"{_where(error)} is not reachable ({_safe(error, 50)}){UNCACHED}"
    elif isinstance(error, httpx.TransportError | ConnectionError) or "Consistency check failed" in message:
        text = f"the connection to {endpoint()} broke off; try again"
    elif isinstance(error, httpx.TooManyRedirects):
        text = f"{endpoint()} redirects in circles; see HF_ENDPOINT and your proxy"
    elif _is_xet(error):
        text = f"the download from {endpoint()} broke off; try again, with HF_HUB_DISABLE_XET=1 if it does so again"
    else:
        return None
    return Cause(text, network=True)


def _where(error: BaseException) -> str:
    """Name the hub, or another host that it sent us to, and the proxy on the way."""
    host = _host(error)
    if host in (None, urlsplit(constants.ENDPOINT).netloc.rpartition("@")[2]):
        proxy = proxy_of(urlsplit(constants.ENDPOINT).scheme, host or "")
        through = f" through the proxy {shorten(_CREDENTIALS.sub('', proxy), 40)}" if proxy else ""
        return f"the hub at {endpoint()}{through}"
    return f"{shorten(str(host), 60)}, where {endpoint()} keeps its files,"


def _host(error: BaseException) -> str | None:
    """Return the host of an error of httpx, with the port where it is given."""
    try:
        return urlsplit(str(error.request.url)).netloc.rpartition("@")[2]  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):  # httpx raises the latter for an error without a request
        return None


def proxy_of(scheme: str, host: str) -> str | None:
    """Return the proxy that the environment names for an address; None: the way is direct."""
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if proxy and not proxy_bypass(host) else None


def _is_xet(error: BaseException) -> bool:
    """Whether `hf_xet`, which moves large files, raised this; its Rust code mostly raises built-in errors."""
    if isinstance(error, XetDownloadError) or type(error).__module__.partition(".")[0] == "hf_xet":
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    names = ("xet_get", "_upload_xet_files")
    return trace is not None and trace.tb_frame.f_code.co_name in names and not isinstance(error, ImportError)


def _file(error: BaseException) -> Cause | None:
    """A file or folder of the cache that cannot be used."""
    if not isinstance(error, OSError) or error.filename is None:
        return None
    path = shorten(str(error.filename), 80)
    return Cause(f"the hub's cache cannot be used: {path}: {_why(error)}; set HF_HOME to a folder you can write")


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or ("it is no text" if isinstance(error, UnicodeError) else "")
