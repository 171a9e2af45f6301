"""Checks the postprocess steps of a repository: `python -m trireme_postprocess.check DIR [NAME]`."""

import asyncio
import sys

from trireme_common.check import check_repository
from trireme_common.repository import VersionFiles
from trireme_postprocess.postprocessor import load


async def try_version(files: VersionFiles) -> None:
    """Builds the chain as the service does. Raises SpecError."""
    load(files)


if __name__ == "__main__":
    sys.exit(asyncio.run(check_repository("postprocess", try_version)))
