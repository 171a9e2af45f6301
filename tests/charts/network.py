"""What NetworkPolicies let through, worked out as a cluster would; for pods of one namespace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.charts.helm import Document
from tests.charts.objects import of_kind, selects


@dataclass(frozen=True)
class End:
    """A pod's labels; empty for a pod of the namespace that is no part of the release."""

    labels: dict[str, str]


@dataclass(frozen=True)
class Policies:
    """The policies of a render."""

    documents: list[Document]

    def allow(self, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
        """Whether both ends let the connection through."""
        return self._way(source, target, "Egress", port, protocol) and self._way(
            target, source, "Ingress", port, protocol
        )

    def allow_out(self, source: End, port: int, protocol: str) -> bool:
        """Whether `source` may call any address at all on this port."""
        applying = self._applying(source, "Egress")
        return not applying or any(
            "to" not in rule and _has_port(rule, port, protocol)
            for policy in applying
            for rule in policy["spec"].get("egress") or []
        )

    def _applying(self, end: End, direction: str) -> list[Document]:
        return [
            policy
            for policy in of_kind(self.documents, "NetworkPolicy")
            if direction in policy["spec"]["policyTypes"]
            and selects(policy["spec"]["podSelector"], end.labels)
        ]

    def _way(self, end: End, other: End, direction: str, port: int, protocol: str) -> bool:
        applying = self._applying(end, direction)
        key = "to" if direction == "Egress" else "from"
        return not applying or any(
            _has_port(rule, port, protocol) and _has_peer(rule.get(key), other)
            for policy in applying
            for rule in policy["spec"].get(direction.lower()) or []
        )


def _has_port(rule: dict[str, Any], port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return ports is None or {"protocol": protocol, "port": port} in ports


def _has_peer(peers: list[dict[str, Any]] | None, other: End) -> bool:
    if peers is None:
        return True
    return any(
        "namespaceSelector" not in peer
        and "podSelector" in peer
        and selects(peer["podSelector"], other.labels)
        for peer in peers
    )
