"""One client's cases against a server: `python -m tests.conformance.runner CLIENT TARGET_JSON`.

Each client runs in a process of its own, because the generated messages of two of them, or of one of them
and the platform, do not bear each other. Writes a line of JSON for each case to standard output.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tests.conformance.casebook import (
    FAIL,
    NOT_ASKED,
    NOT_SUPPORTED,
    PASS,
    Case,
    NotAskedError,
    NotSupportedError,
    Outcome,
)
from tests.conformance.clients import CLIENTS, MAY_BE_UNSUPPORTED, NEVER_FAIL, ClientEntry
from tests.conformance.target import Target


def unlisted(calls: Sequence[str], cases: Sequence[Case]) -> Iterator[tuple[str, str]]:
    """Public calls without a case, and cases of calls that there are not: (call, what is wrong)."""
    for call in calls:
        kinds = Counter(case.fails for case in cases if case.call == call)
        if not kinds[False]:
            yield call, "the client has this call, and no case asks it"
        elif not kinds[True] and call not in NEVER_FAIL:
            yield call, "no case asks this call in a way that has to fail"
    for call in sorted({case.call for case in cases} - set(calls)):
        yield call, "a case asks this call, and the client has none of that name"


async def run_case(entry: ClientEntry, case: Case, client: Any) -> Outcome:
    """What came of one case."""

    def outcome(result: Any, detail: str = "") -> Outcome:
        return Outcome(entry.name, case.call, case.says, case.fails, result, detail)

    try:
        await asyncio.wait_for(case.run(client), timeout=30)
    except NotSupportedError as error:
        return outcome(NOT_SUPPORTED if case.call in MAY_BE_UNSUPPORTED else FAIL, str(error))
    except NotAskedError as error:
        return outcome(NOT_ASKED, str(error))
    except Exception as error:
        return outcome(FAIL, _explain(error))
    return outcome(PASS)


async def run(entry: ClientEntry, target: Target) -> AsyncIterator[Outcome]:
    """An outcome for each call that is not asked as it should be, then those of all cases of a client."""
    module = importlib.import_module(entry.cases)
    cases = module.BOOK.of(entry.name)
    for call, wrong in unlisted(entry.calls(), cases):
        yield Outcome(entry.name, call, "is listed", False, FAIL, wrong)
    async with module.open_client(entry, target) as client:
        for case in cases:
            yield await run_case(entry, case, client)


async def write(entry: ClientEntry, target: Target) -> None:
    """A line for each outcome as soon as it is there, so that a process that dies has told of the others."""
    async for outcome in run(entry, target):
        print(json.dumps(asdict(outcome)), flush=True)


def _explain(error: BaseException) -> str:
    """The error, and the line of the case that it came from."""
    here = [frame for frame in traceback.extract_tb(error.__traceback__) if "conformance" in frame.filename]
    where = f" at {os.path.basename(here[-1].filename)}:{here[-1].lineno}" if here else ""
    text = str(error) or (here[-1].line if here else "") or ""
    return f"{type(error).__name__}: {text}{where}"[:1000]


def main() -> None:
    asyncio.run(write(CLIENTS[sys.argv[1]], Target.from_json(sys.argv[2])))


if __name__ == "__main__":
    main()
