"""Entry point of `trireme export`, which runs `python -m trireme_lab.conversion`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from trireme_lab.command import end_at_once_while_importing


def main(arguments: Sequence[str]) -> int:
    """Runs the command; its exit code."""
    from trireme_lab.conversion.command import run_export

    return run_export(arguments)


if __name__ == "__main__":
    end_at_once_while_importing()
    sys.exit(main(sys.argv[1:]))
