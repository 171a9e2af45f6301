"""The versions that a stage has, kept in step with the repository and with orders while requests run.

A version is loaded beside what serves now, becomes READY only when its load succeeded, and
displaces an older one only then; a version that fails leaves the good one and shows its reason. One that
another stage lacks waits beside the good one.
What is displaced goes on serving as UNLOADING for a while, because a request keeps the version it
was given at the gateway, and is closed afterwards.

A READY version need not be in memory: a lazy one is loaded when it is first asked for, one that had to
make room when it is asked for again. Whoever asks meanwhile waits for the one load.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Generic
from weakref import WeakValueDictionary

from trireme_common.announcer import Announcer
from trireme_common.entries import Entries, Entry
from trireme_common.errands import Errands, told
from trireme_common.finds import Finds, Signed, signed
from trireme_common.lacking import Chooser, Lacking
from trireme_common.memory import MemoryBudget
from trireme_common.orders import Order
from trireme_common.orders_file import StandingOrders
from trireme_common.repository import VersionFiles
from trireme_common.shelf import Key, MemoryObserver, Needs, Shelf, T
from trireme_common.stage_state import ModelDescriptor, StageState, State
from trireme_common.version_policy import Policy, ordered_policy
from trireme_common.waking import Waking

_FIRST_USE_SECONDS = 0.05


class ModelStore(Generic[T]):
    """Loads, swaps and retires versions. `load` runs in a thread and raises SpecError to refuse.

    `preview` (in a thread too) describes a lazy version without loading it, or returns None where that
    cannot be done. It is asked only while the model has nothing that the version could displace.
    """

    def __init__(
        self,
        models_dir: Path,
        load: Callable[[VersionFiles], T],
        *,
        policy: Policy = ordered_policy,
        preview: Callable[[VersionFiles], ModelDescriptor | None] = lambda _: None,
        linger_seconds: float = 10.0,
        device: str = "",
        state_dir: Path | None = None,
        budget: MemoryBudget | None = None,
        observer: MemoryObserver | None = None,
        needs: Callable[[VersionFiles], Needs] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._preview = preview
        self._entries: Entries[T] = Entries(models_dir, linger_seconds, clock)
        self._shelf = Shelf(
            load, self._entries.hide, budget=budget, observer=observer, needs=needs, clock=clock
        )
        self._finds = Finds(models_dir)
        self._bringing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._orders = StandingOrders(state_dir or models_dir)
        self._chooser = Chooser(policy, self._orders.get)
        self._settled: Signed = set()
        self._looked = False
        self._errands = Errands()
        self._waking = Waking(self._entries, self._shelf, self._woke)
        self._announcer = Announcer(device)
        self.loaded_once = asyncio.Event()
        """Set after the first look at the repository: everything usable is loaded, or known to be."""

    @property
    def state(self) -> StageState:
        return self._announcer.state

    def peek(self, name: str, version: str) -> T | None:
        """The servable of a version, if it is in memory."""
        servable = self._entries.serving.get((name, version))
        if servable is not None:
            self._shelf.use(servable)
        return servable

    def get(self, name: str, version: str) -> T:
        """The servable of a version that is in memory. Raises TriremeError(MODEL_NOT_FOUND or
        MODEL_NOT_READY)."""
        servable = self.peek(name, version)
        if servable is None:
            raise self._entries.refusal(name, version)
        return servable

    async def acquire(self, name: str, version: str) -> T:
        """As `get`, but what is READY and not in memory is loaded."""
        while (servable := self.peek(name, version)) is None:
            entry = self._entries.find(name, version)
            if entry is None or entry.descriptor is None:
                raise self._entries.refusal(name, version)
            await self._waking.wait(entry)
        return servable

    def servables(self) -> Iterable[T]:
        return self._entries.serving.values()

    def subscribe(self, listener: Callable[[StageState], None]) -> Callable[[], None]:
        """As `Announcer.subscribe`."""
        return self._announcer.subscribe(listener)

    def obey(self, orders: Sequence[Order]) -> None:
        """Takes over what is new of `orders`; `watch` carries it out at once."""
        self._errands.call(self._orders.take(orders, self._finds.models))

    def others_lack(self, versions: Lacking) -> None:
        """Takes over which versions other stages lack; `watch` does at once what follows from it."""
        self._errands.call(self._chooser.lack(versions, self._finds.models))

    def drain(self) -> None:
        """Tells every gateway that this endpoint is about to leave."""
        self._announcer.drain()

    async def watch(self, poll_seconds: float) -> None:
        """Keeps the store in step with the repository and with orders until cancelled."""
        await self._errands.watch(poll_seconds, self._poll, self._carry_out)

    async def _poll(self) -> None:
        try:
            await self.refresh(settled_only=self._looked)
            self._looked = True
        finally:
            self.loaded_once.set()

    async def refresh(self, *, settled_only: bool = False) -> None:
        """One look at the repository: load what is new, retire what is gone or displaced.

        `settled_only` leaves a version alone until two looks in a row found the same files, so that
        one that is still being copied is not loaded half.
        """
        orders = self._orders.all()  # whoever gives one during the look may mean what it did not see
        there, same = await self._finds.look_again()
        settled = self._settled = same if settled_only else there
        await self._orders.exchange(self._finds.models)
        orders = orders if self.loaded_once.is_set() else self._orders.all()
        self._forget_missing()
        self._announce(settled)
        for name in list(self._finds.models):
            await self._tend(name, settled, orders)
        await self._close_retired()
        self._orders.carried_out(order for order in orders if order.model not in self._finds.models)
        self._publish()

    async def _carry_out(self, names: Iterable[str]) -> None:
        """Does at once, for some models, what an order says, or what a version that failed, or that another
        stage lacks, asks for. One that takes long keeps no other waiting."""
        orders = self._orders.all()
        there = await self._finds.look()
        await self._orders.exchange(self._finds.models)
        await asyncio.gather(*(told(self._follow(name, there, orders)) for name in names))

    async def _follow(self, name: str, there: Signed, orders: Sequence[Order]) -> None:
        """Only an order brings what may still be being copied."""
        ordered = self._orders.outstanding(name)
        await self._tend(name, there if ordered else there & self._settled, orders)
        self._publish()

    async def _tend(self, name: str, settled: Signed, orders: Iterable[Order]) -> None:
        """Brings one model in step with the repository and with its order. What a new order is about is
        tried again if it had failed, and loaded even if it is lazy. `orders` are older than the look."""
        async with self._bringing.setdefault(name, asyncio.Lock()):
            anew = self.loaded_once.is_set() and self._orders.outstanding(name)
            if anew:
                self._entries.forget_failures(name)
            await self._bring_up(name, settled, anew=anew)
            self._orders.carried_out(order for order in orders if order.model == name)

    def _announce(self, settled: Signed) -> None:
        """Shows as LOADING what is about to be loaded for the first time."""
        for files in self._chooser.first(self._finds.models):
            if signed(files) in settled:
                self._entries.announce(files)
        self._publish()

    async def _bring_up(self, name: str, settled: Signed, *, anew: bool) -> None:
        by_number = {files.version: files for files in self._finds.models.get(name, ())}
        order = self._orders.get(name)
        if not by_number and (order is None or not order.unloaded):
            return  # it is gone, or its model.yaml is broken: see _forget_missing
        choice = self._chooser.choose(name, self._finds.models.get(name, ()))
        lazily = not anew and not self._entries.has_good(name)
        good: list[Key] = []
        missing, queue = choice.count, list(choice.candidates)
        for place, number in enumerate(queue):
            if not missing:
                break
            files = by_number[number]
            if signed(files) in settled:
                # What waits and is asked by nobody must not keep the good one out of memory.
                swap = choice.waiting is None or number == choice.waiting
                await self._bring(files, lazily=lazily and files.spec.memory.lazy, swap=swap)
            if place < len(choice.candidates) and self._entries.refuted(_key(files)):
                queue.append(number)  # serves only where nothing else does
            elif await self._is_good(files, anew=anew):
                good.append(_key(files))
                missing -= number != choice.waiting
        for key in self._entries.of(name):
            if key not in good:
                self._displace(key, keep_failed=key[1] in choice.candidates)

    async def _is_good(self, files: VersionFiles, *, anew: bool) -> bool:
        """Whether the version can be asked for, now that it is wanted."""
        entry = self._entries.get(_key(files))
        if entry is not None and anew and entry.servable is None and entry.descriptor is not None:
            await self._waking.attempt(entry)
            entry = self._entries.get(_key(files))
        if entry is None or entry.descriptor is None:
            return False
        if entry.state is State.UNLOADING:
            self._entries.revive(entry)
            self._rest(entry)
        return True

    async def _bring(self, files: VersionFiles, *, lazily: bool, swap: bool) -> None:
        """Loads (or only previews) a version that is new or has changed."""
        entry = self._entries.get(_key(files))
        if entry is not None and entry.tried(files) and not self._shelf.may_fit(entry.shortage):
            return
        if entry is None:
            self._entries.announce(files)
            self._publish()
        try:
            described = await asyncio.to_thread(self._preview, files) if lazily else None
            servable = await self._shelf.load(_key(files), files, swap=swap) if described is None else None
        except Exception as error:  # a foreign file can make a library raise anything; it alone fails
            self._rest(self._entries.failed(files, error))
        else:
            self._entries.ready(files, servable, described)
            if servable is not None:
                self._shelf.rest(servable, True)
        self._publish()

    def _woke(self, entry: Entry[T], *, failed: bool) -> None:
        if failed:
            self._errands.call([entry.key[0]])  # an older version may take its place
        else:  # it serves those who waited for it before it may be asked to leave
            asyncio.get_running_loop().call_later(_FIRST_USE_SECONDS, self._rest, entry)
        self._publish()

    def _rest(self, entry: Entry[T]) -> None:
        if entry.servable is not None:
            self._shelf.rest(entry.servable, entry.resting)

    def _displace(self, key: Key, *, keep_failed: bool) -> None:
        lingering = self._entries.displace(key, keep_failed=keep_failed)
        if lingering is not None:
            self._rest(lingering)

    def _forget_missing(self) -> None:
        """Retires versions that left the disk; a model whose model.yaml broke keeps what it serves."""
        broken = {name for name, _ in self._finds.broken}
        there = {_key(files) for versions in self._finds.models.values() for files in versions}
        for key in self._entries.known():
            if key not in there and key[0] not in broken:
                self._displace(key, keep_failed=False)

    async def _close_retired(self) -> None:
        due = self._entries.take_due()
        self._publish()  # gateways turn away before anything is closed
        for servable in due:
            await self._shelf.close(servable)

    async def close(self) -> None:
        """Closes every servable, the retired ones included."""
        self._waking.stop()
        for servable in self._entries.take_all():
            await self._shelf.close(servable)
        await self._shelf.settle()

    def _publish(self) -> None:
        self._announcer.publish(self._entries.versions(self._finds.broken), self._orders.done)


def _key(files: VersionFiles) -> Key:
    return files.spec.name, files.version
