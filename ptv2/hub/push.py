"""Push a folder of files to a repository of models on the hub, in one commit; what is there is not replaced unasked."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ptv2.errors import ConfigError, ModelError, enumerate_some
from ptv2.hub.fetch import fetching

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

MADE_BY_THE_HUB = ".gitattributes"  # in every repository


@dataclass(frozen=True)
class Pushed:
    """Where the files are; `is_new`: whether there is a new commit, or the repository had all of them before."""

    address: str
    commit: str
    is_new: bool


def check_repository(repository: str) -> None:
    """Raise `ConfigError` unless `repository` is a name that the hub takes, with its owner."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ConfigError(f"--push {repository}: no name of a repository; expected OWNER/NAME") from error
    if "/" not in repository:
        raise ConfigError(f"--push {repository}: expected OWNER/NAME, with your name on the hub or an organization's")


def check_access() -> None:
    """Raise `ConfigError` if it is known before asking the hub that nothing can be pushed."""
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise ConfigError("--push: HF_HUB_OFFLINE is set; unset it where a network is")
    if not get_token():
        raise ConfigError("--push needs a token with write access to the hub: set HF_TOKEN, or run `hf auth login`")


def push_folder(folder: Path, repository: str, message: str, *, private: bool, overwrite: bool) -> Pushed:
    """Push the files of `folder` that are not hidden; equal files make no commit, a missing repository is created.

    Args:
        overwrite: whether files that the repository has with other contents are replaced; others stay in any case.

    Raises:
        ModelError: the repository has other contents or another visibility than asked for, or the hub refuses the push.
        NetworkError: the hub or the way to it failed.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api = HfApi(library_name="ptv2")
    with _pushing(repository, "nothing was pushed"):
        try:
            info = api.model_info(repository, files_metadata=True)
        except RepositoryNotFoundError:  # or one that the token may not read, which creating it will tell
            info = None
            _check_card(folder / "README.md", api)
            api.create_repo(repository, private=private, exist_ok=True)
    if info is not None:
        other, lacking = _compare(info, folder)
        if private and not info.private:
            raise ModelError(f"{repository}: it exists and is public; make it private on the hub, or take another name")
        if other and not overwrite:
            raise ModelError(
                f"{repository}: it has other contents ({enumerate_some(other, 5)}); take another name, or --overwrite "
                "replaces those of its files that are pushed"
            )
        if not lacking:
            return Pushed(_address(api, repository), str(info.sha), is_new=False)
    with _pushing(repository, "no file was pushed; the same command goes on"):
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message=message,
            parent_commit=info.sha if info else None,
            allow_patterns=[path.name for path in _pushed_files(folder)],
        )
    return Pushed(_address(api, repository), commit.oid, is_new=True)


@contextmanager
def _pushing(repository: str, instead: str) -> Iterator[None]:
    """Show a push, and put its failure into one line."""
    from huggingface_hub.utils import disable_progress_bars

    with fetching(repository, ModelError, instead, push=True):
        if not sys.stderr.isatty():
            disable_progress_bars()
        yield


def _check_card(card: Path, api: HfApi) -> None:
    """Ask the hub about a card before anything is created; it refuses unknown licences, for instance."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    asked = {"content": card.read_text(encoding="utf-8"), "repoType": "model"}
    address = f"{api.endpoint}/api/validate-yaml"  # `ModelCard.validate` of older versions asks huggingface.co
    hf_raise_for_status(get_session().post(address, json=asked, headers=build_hf_headers(library_name="ptv2")))


def _pushed_files(folder: Path) -> list[Path]:
    """The files of a folder, but for hidden ones, which may be anybody's."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _compare(info: ModelInfo, folder: Path) -> tuple[list[str], list[str]]:
    """The files that a repository has and `folder` has not, or not like this; and those that it lacks of `folder`."""
    there = {file.rfilename: file for file in info.siblings or () if file.rfilename != MADE_BY_THE_HUB}
    same = []
    mine = _pushed_files(folder)
    for path in mine:
        if (file := there.get(path.name)) is None:
            continue
        content = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # as git names a file's content
        if hashlib.sha256(content).hexdigest() == file.lfs.sha256 if file.lfs else blob == file.blob_id:
            same.append(path.name)
    return sorted(there.keys() - same), sorted({path.name for path in mine} - set(same))


def _address(api: HfApi, repository: str) -> str:
    return f"{api.endpoint}/{repository}"
