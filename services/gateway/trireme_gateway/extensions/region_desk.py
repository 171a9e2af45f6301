"""Where callers register shared memory, and where inference reads and writes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_gateway.extensions.region_files import OpenRegion, RegionFiles
from trireme_gateway.extensions.regions import MAX_REGIONS, Region, checked_region
from trireme_gateway.extensions.state import ExtensionState
from trireme_gateway.extensions.store import StateStore
from trireme_gateway.v2.shared_memory import Place

logger = structlog.get_logger(__name__)

_DISABLED = (
    "Client shared memory is disabled. Start the gateway with TRIREME_GATEWAY_SHARED_MEMORY=true to enable."
)


class RegionDesk:
    """System shared memory of this gateway, the same at all its workers; CUDA shared memory is not
    supported. Is the `SharedMemory` that requests read and write."""

    def __init__(
        self, store: StateStore | None = None, *, enabled: bool = False, files: RegionFiles | None = None
    ) -> None:
        """`enabled`: whether the administrator allows callers to register regions."""
        self.enabled = enabled
        self._store = store or StateStore()
        self._files = files or RegionFiles()
        self._open: dict[str, OpenRegion] = {}
        if enabled:
            self._store.listen(self._take_over)

    def status(self, name: str = "") -> list[dict[str, Any]]:
        """All regions, or one. Raises TriremeError(NOT_FOUND)."""
        regions = self._store.state.regions
        if not name:
            return [regions[found].status() for found in sorted(regions)]
        if name not in regions:
            raise _missing(name, "system shared memory region")
        return [regions[name].status()]

    async def register(self, name: Any, key: Any, offset: Any, byte_size: Any) -> None:
        """Raises TriremeError: FORBIDDEN where the administrator does not allow it, INVALID_ARGUMENT for
        a name that is taken, a key that names no memory of that size, or too many regions."""
        if not self.enabled:
            raise TriremeError(Code.FORBIDDEN, _DISABLED)
        wanted = checked_region(name, key, offset, byte_size)

        def change(state: ExtensionState) -> ExtensionState:
            if wanted.name in state.regions:
                raise _invalid(f"shared memory region '{wanted.name}' already in manager")
            if len(state.regions) >= MAX_REGIONS:
                raise _invalid(f"no more than {MAX_REGIONS} shared memory regions can be registered")
            found = self._files.identify(wanted)
            return replace(state, regions={**state.regions, found.name: found})

        await self._store.change(change)

    async def unregister(self, name: str = "") -> None:
        """One region, or all; what is not registered is none that has to go. Requests that are reading or
        writing one finish."""
        if name in self._store.state.regions or (not name and self._store.state.regions):
            await self._store.change(
                lambda state: replace(
                    state,
                    regions={kept: region for kept, region in state.regions.items() if name and kept != name},
                )
            )

    def cuda_status(self, name: str = "") -> list[dict[str, Any]]:
        """None is ever registered. Raises TriremeError(NOT_FOUND) where one is asked for by its name."""
        if name:
            raise _missing(name, "cuda shared memory region")
        return []

    def refuse_cuda(self, name: str) -> TriremeError:
        """The answer to everyone who registers CUDA shared memory."""
        return _invalid(
            f"failed to register CUDA shared memory region: '{name[:256]}', CUDA shared memory is not "
            "supported; register system shared memory, or send the data itself"
        )

    def check(self, place: Place) -> None:
        self._opened(place).check(place)

    def read(self, place: Place) -> bytes:
        return self._opened(place).read(place)

    def write(self, place: Place, data: bytes) -> None:
        self._opened(place).write(place, data)

    def _opened(self, place: Place) -> OpenRegion:
        found = self._open.get(place.region)
        if found is None:
            region = self._store.state.regions.get(place.region)
            if region is None:
                raise _missing(place.region, "shared memory region")
            found = self._open[place.region] = self._files.open(region)  # says why it was not open
        return found

    def _take_over(self, state: ExtensionState) -> None:
        """Opens what is new at once: its key may name something else later."""
        regions = state.regions
        self._open = {name: kept for name, kept in self._open.items() if regions.get(name) == kept.region}
        for name, region in regions.items():
            if name not in self._open:
                self._try_open(region)

    def _try_open(self, region: Region) -> None:
        try:
            self._open[region.name] = self._files.open(region)
        except TriremeError:  # its key names something else by now; requests that name it are told
            logger.warning("shared_memory_not_opened")


def _missing(name: str, kind: str) -> TriremeError:
    return TriremeError(Code.NOT_FOUND, f"Unable to find {kind}: '{name[:256]}'")


def _invalid(detail: str) -> TriremeError:
    return TriremeError(Code.INVALID_ARGUMENT, detail)
