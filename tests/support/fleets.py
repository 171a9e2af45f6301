"""Endpoints as the gateway's order desk sees them, which carry out orders when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.support.catalogs import version
from trireme_common.lacking import Lacking
from trireme_common.orders import Ledger, Order
from trireme_common.stage_state import ModelVersion, StageState, State
from trireme_gateway.catalog import INFERENCE, STAGES, Catalog
from trireme_gateway.orders import OrderDesk
from trireme_gateway.repository import Repository


@dataclass(eq=False)
class FakeReplica:
    """Has some versions of model `m`; inference serves the ordered one, or the newest."""

    stage: str
    address: str
    versions: tuple[str, ...] = ("1", "2", "3")
    bad: tuple[str, ...] = ()
    obedient: bool = True
    told: list[list[Order]] = field(default_factory=list)
    told_lacking: list[Lacking] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    carried_out: Ledger = field(default_factory=Ledger)
    on_change: Callable[[], None] = lambda: None

    @property
    def state(self) -> StageState | None:
        return StageState(self.models(), orders=tuple(sorted(self.carried_out)))

    def models(self) -> tuple[ModelVersion, ...]:
        if self.stage != INFERENCE:
            return tuple(version("m", number) for number in self.versions)
        order = self.carried_out.get("m")
        if order is not None and order.unloaded:
            return ()
        failed = tuple(version("m", number, State.UNAVAILABLE, "the file is bad") for number in self.bad)
        good = [number for number in self.versions if number not in self.bad]
        wanted = order.version if order is not None and order.version in good else good[-1] if good else None
        return (*failed, version("m", wanted)) if wanted else failed

    def tell(self, orders: Sequence[Order]) -> None:
        self.told.append(list(orders))
        self.ledger.merge(orders)
        if self.obedient:
            self.obey()

    def tell_lacking(self, versions: Lacking) -> None:
        self.told_lacking.append(versions)

    def obey(self) -> None:
        self.carried_out.merge(self.ledger)
        self.on_change()


class Fleet:
    """Two endpoints of inference and one of the others, a catalog and a desk over them. A change that a look
    brings about is looked at afterwards, as it is with real streams."""

    def __init__(self, **options: object) -> None:
        self.replicas = {
            stage: [FakeReplica(stage, f"{stage}-{number}") for number in range(1 + (stage == INFERENCE))]
            for stage in STAGES
        }
        self.catalog = Catalog()
        self.desk = OrderDesk(lambda: self.replicas, **options)  # type: ignore[arg-type]
        self.repository = Repository(self.catalog, self.desk, self.refresh)
        self._changed = False
        self._looking = False
        for replica in self.all():
            replica.on_change = self.refresh
        self.refresh()

    def all(self) -> list[FakeReplica]:
        return [replica for found in self.replicas.values() for replica in found]

    @property
    def inference(self) -> list[FakeReplica]:
        return self.replicas[INFERENCE]

    def come(self, replica: FakeReplica) -> None:
        replica.on_change = self.refresh
        self.replicas[replica.stage].append(replica)
        self.refresh()

    def go(self, replica: FakeReplica) -> None:
        self.replicas[replica.stage].remove(replica)
        self.refresh()

    def refresh(self) -> None:
        self._changed = True
        if self._looking:
            return
        self._looking = True
        while self._changed:
            self._changed = False
            self.catalog.rebuild(self.desk.look(), self.desk.ledger)
            self.desk.tell_lacking(self.catalog.lacking)
        self._looking = False

    def default(self) -> str:
        return self.catalog.health()["m"].version
