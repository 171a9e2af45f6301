"""URLs as people and logs may see them."""

from __future__ import annotations

import re

# Possessive: a scheme is never read as a user. All up to the last `@` is the login, also where a password
# holds signs that it should have encoded.
_LOGIN = re.compile(r"\A((?:[^:/?#@]++://)?+[^:@]*+):.*@", re.DOTALL)
_PARAMETER = re.compile(r"([?&][^=&#]*password=)[^&#]*", re.IGNORECASE)


def shown_url(url: str) -> str:
    """The URL, or what was meant to be one, with `***` for every password in it."""
    return _LOGIN.sub(r"\1:***@", _PARAMETER.sub(r"\1***", url), count=1)
