"""Checks the preprocess steps of a repository: `python -m trireme_preprocess.check DIR [NAME]`."""

import asyncio
import sys

from trireme_common.check import check_repository
from trireme_common.repository import VersionFiles
from trireme_preprocess.preprocessor import load


async def try_version(files: VersionFiles) -> None:
    """Builds the chain as the service does. Raises SpecError."""
    load(files)


if __name__ == "__main__":
    sys.exit(asyncio.run(check_repository("preprocess", try_version)))
