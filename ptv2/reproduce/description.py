"""Read the YAML file that describes a table or a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from ptv2.config import paths
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
        return kind.model_validate(OmegaConf.to_container(tree, resolve=True))
    except ValidationError as error:
        raise ConfigError(f"{start}: {_describe_faults(error, kind, inner)}") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{start}: {known[name]}: no YAML ({' '.join(str(error).split())})") from error
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{start}: {first_line(error)}") from error


def _describe_faults(error: ValidationError, kind: type[Frozen], inner: Mapping[str, type[Frozen]]) -> str:
    """Everything that is wrong, by key; several complaints about one value are joined by "or"."""
    faults: dict[str, list[str]] = {}
    for fault in error.errors():
        keys = [str(key) for key in fault["loc"] if not _is_type(key)]
        if fault["type"] == "extra_forbidden":
            holder = inner.get(keys[0], kind) if len(keys) > 1 else kind
            faults[unknown("key", ".".join(keys), holder.model_fields)] = []
            continue
        message = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
        message = message.replace("valid tuple", "list").replace("valid dictionary", "mapping")
        message = message.replace("Field required", "is missing").replace("valid list", "list")
        faults.setdefault(".".join(keys), []).append(message)
    return "; ".join(": ".join(filter(None, (key, " or ".join(messages)))) for key, messages in faults.items())


def _is_type(key: int | str) -> bool:
    """Whether an entry of a fault's location is pydantic's name of a type that it tried."""
    return isinstance(key, str) and (key in ("int", "float", "str") or key.startswith(("literal[", "tuple[", "dict[")))
