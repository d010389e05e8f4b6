"""Rules that the settings of a new run keep to, and those of a run that was made before need not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationInfo, model_validator

M = TypeVar("M", bound=BaseModel)
_BEFORE = "made before"


def rule(check: Callable[[M], None]) -> Any:
    """A check of a whole section: what it refuses could not be trained, or would say nothing.

    A run whose settings were allowed when it was made is read all the same. What the settings need to have a meaning
    at all is no such rule, but a `model_validator`.
    """

    def checked(section: M, info: ValidationInfo) -> M:
        if not (info.context or {}).get(_BEFORE):
            check(section)
        return section

    return model_validator(mode="after")(checked)


def read_settings(kind: type[M], tree: Any) -> M:
    """Read the settings of a run that was made before.

    Raises:
        ValidationError: they are not settings of this version.
    """
    return kind.model_validate(tree, context={_BEFORE: True})
