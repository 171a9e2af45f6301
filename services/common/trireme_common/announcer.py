"""The state that an endpoint publishes, and who listens to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trireme_common.orders import Order
from trireme_common.stage_state import ModelVersion, StageState


class Announcer:
    """Tells its listeners of every change, and of nothing twice."""

    def __init__(self, device: str = "") -> None:
        self.state = StageState(device=device)
        self._listeners: set[Callable[[StageState], None]] = set()

    def subscribe(self, listener: Callable[[StageState], None]) -> Callable[[], None]:
        """Calls `listener` with the state at every change, until the returned function is called."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def publish(self, models: tuple[ModelVersion, ...], orders: tuple[Order, ...]) -> None:
        self._say(replace(self.state, models=models, orders=orders))

    def drain(self) -> None:
        """The endpoint is about to leave, for good."""
        self._say(replace(self.state, draining=True))

    def _say(self, state: StageState) -> None:
        if state != self.state:
            self.state = state
            for listener in tuple(self._listeners):
                listener(state)
