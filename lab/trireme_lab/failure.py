"""How a command of the lab ends without success.

LabFailure        exit code 1: it was tried and did not work; the message says what to do
└── LabUsage      exit code 2: it was asked for in a way that cannot be honoured
"""

from __future__ import annotations


class LabFailure(Exception):
    """Ends the command; the message is shown to the person as it is."""

    exit_code = 1


class LabUsage(LabFailure):
    exit_code = 2
