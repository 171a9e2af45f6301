"""What a call that may be refused comes to, for tests that do not care which."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from trireme_common.errors import TriremeError

T = TypeVar("T")


def result_or_refusal(call: Callable[[], T]) -> T | TriremeError:
    """The result of `call`, or the platform's own error; anything else fails the test."""
    try:
        return call()
    except TriremeError as error:
        return error
