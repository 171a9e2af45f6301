"""How a gateway process takes its leave."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class Draining:
    """Set once, when the process begins to leave; read by readiness and by every answer."""

    begun: bool = False
    """Every answer says `connection: close`, so that clients come back on another connection."""
    replaced: bool = False
    """Another worker of this gateway has taken over: the port as a whole stays ready."""

    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once nothing new is taken: streams end behind what they have taken."""

    def __call__(self) -> bool:
        """Whether balancers are to turn away."""
        return self.begun and not self.replaced

    def closing(self) -> bool:
        """Whether connections are to be closed behind their answers."""
        return self.begun
