"""Loads every version of a repository as the service would: `python -m trireme_inference.check DIR`."""

import asyncio
import sys
from contextlib import closing

from prometheus_client import CollectorRegistry

from trireme_common.check import check_repository
from trireme_common.repository import VersionFiles
from trireme_common.settings import load_settings
from trireme_inference.bootstrap import BACKENDS, build_isolation, machine
from trireme_inference.loader import Loader
from trireme_inference.metrics import InferenceMetrics
from trireme_inference.settings import InferenceSettings


async def try_version(files: VersionFiles) -> None:
    """Opens, warms up and compares with the golden answer. Raises SpecError."""
    registry, settings = CollectorRegistry(), load_settings(InferenceSettings)
    with closing(build_isolation(settings, registry)) as isolation:
        telemetry, loop = InferenceMetrics(registry), asyncio.get_running_loop()
        loader = Loader(BACKENDS, machine(settings), telemetry, loop, isolation)
        await (await asyncio.to_thread(loader.load, files)).close()


if __name__ == "__main__":
    sys.exit(asyncio.run(check_repository("inference", try_version)))
