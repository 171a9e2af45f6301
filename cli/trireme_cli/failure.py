"""How a command ends without success.

Failure         exit code 1: it was tried and did not work; the message says what to do
└── UsageFailure    exit code 2: it was asked for in a way that cannot be honoured
"""

from __future__ import annotations

EXIT_FAILURE = 1
EXIT_USAGE = 2


class Failure(Exception):
    """Ends the command; the message is shown to the person as it is."""

    exit_code = EXIT_FAILURE


class UsageFailure(Failure):
    exit_code = EXIT_USAGE
