"""What schemathesis has to be taught; it loads this by the variable SCHEMATHESIS_HOOKS."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context: Any, value: Any) -> bytes:
    """Lines of JSON, as they are generated: a text that may be any."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
