"""Both clients have the same methods with the same arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from trireme_client import AsyncClient, Client


def methods(kind: type) -> dict[str, Callable[..., Any]]:
    return {name: found for name, found in vars(kind).items() if callable(found) and not name.startswith("_")}


def arguments(method: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    found = inspect.signature(method).parameters.values()
    return [(argument.name, argument.kind, argument.default) for argument in found]


def test_the_same_names() -> None:
    assert set(methods(Client)) - {"close"} == set(methods(AsyncClient)) - {"aclose"}


@pytest.mark.parametrize("name", sorted({*methods(Client)} - {"close"}))
def test_the_same_arguments_and_words(name: str) -> None:
    ours, theirs = methods(Client)[name], methods(AsyncClient)[name]
    assert arguments(ours) == arguments(theirs)
    assert ours.__doc__
    assert ours.__doc__ == theirs.__doc__


def test_the_same_beginning() -> None:
    assert arguments(Client.__init__) == arguments(AsyncClient.__init__)
