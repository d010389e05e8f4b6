"""Read the YAML file that describes a table or a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from ptv2.config import paths
from ptv2.config.faults import describe_faults
from ptv2.config.task_schema import Frozen
from ptv2.errors import ConfigError, first_line, unknown

T = TypeVar("T", bound=Frozen)


def read_description(
    group: str,
    kind: type[T],
    inner: Mapping[str, type[Frozen]],
    name: str,
    config_dir: str | None = None,
    changes: Sequence[str] = (),
) -> T:
    """Read `<group>/<name>.yaml`, shipped or from the user's folder.

    Args:
        kind: what the file holds.
        inner: what its keys hold that have keys of their own.
        changes: `key=value` words for keys of the file, such as `x.values=[1,2,4]`.

    Raises:
        ConfigError: no such file, or everything that is wrong with it.
    """
    known = paths.choices(group, config_dir)
    if name not in known:
        raise ConfigError(unknown(group, name, known))
    paths.note_taken(group, name, paths.folders(config_dir))
    start = f"{group} {name}"
    try:
        tree = OmegaConf.load(known[name])
        if not isinstance(tree, DictConfig):
            raise ConfigError(f"{known[name]}: expected keys such as {', '.join(list(kind.model_fields)[:3])}")
        for change in changes:
            key, _, value = change.partition("=")
            OmegaConf.update(tree, key, OmegaConf.from_dotlist([f"value={value}"]).value, merge=False)
        values = OmegaConf.to_container(tree, resolve=True)
        return kind.model_validate(values)
    except ValidationError as error:
        unknown_key = partial(_unknown_key, kind=kind, inner=inner)
        faults = describe_faults(error, values, unknown_key, missing="is missing")
        raise ConfigError(f"{start}: {faults}") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{start}: {known[name]}: no YAML ({' '.join(str(error).split())})") from error
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{start}: {first_line(error)}") from error


def _unknown_key(key: str, kind: type[Frozen], inner: Mapping[str, type[Frozen]]) -> str:
    first, dot, _ = key.partition(".")
    return unknown("key", key, (inner.get(first, kind) if dot else kind).model_fields)
