"""What NetworkPolicies let through, worked out as a cluster would."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from tests.charts.helm import NAMESPACE, Document
from tests.charts.objects import of_kind, selects

# The label that every namespace has.
NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class End:
    """A pod by its labels, empty for one that is no part of the release; or an address outside."""

    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = NAMESPACE
    address: str = ""


OUTSIDE = End(namespace="", address="203.0.113.7")


@dataclass(frozen=True)
class Policies:
    """The policies of a render."""

    documents: list[Document]

    def allow(self, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
        """Whether both ends let the connection through."""
        return self._way(source, target, "Egress", port, protocol) and self._way(
            target, source, "Ingress", port, protocol
        )

    def may_send(self, source: End, port: int, protocol: str = "TCP") -> bool:
        """Whether `source` may call anything at all on this port, wherever it stands."""
        applying = self._applying(source, "Egress")
        return not applying or any(
            _has_port(rule, port, protocol)
            for policy in applying
            for rule in policy["spec"].get("egress") or []
        )

    def namespaces(self) -> set[str]:
        """Other namespaces that any policy names."""
        found = set()
        for policy in of_kind(self.documents, "NetworkPolicy"):
            for rule in [*(policy["spec"].get("ingress") or []), *(policy["spec"].get("egress") or [])]:
                for peer in [*(rule.get("from") or []), *(rule.get("to") or [])]:
                    selector = peer.get("namespaceSelector", {})
                    found.add(selector.get("matchLabels", {}).get(NAMESPACE_NAME, ""))
                    for expression in selector.get("matchExpressions", []):
                        found.update(expression.get("values", []))
        return found - {"", NAMESPACE}

    def _applying(self, end: End, direction: str) -> list[Document]:
        if end.namespace != NAMESPACE:
            return []
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
    # An empty list lets all ports through, as does none.
    return not ports or any(
        one.get("protocol", "TCP") == protocol
        and ("port" not in one or one["port"] <= port <= one.get("endPort", one["port"]))
        for one in ports
    )


def _has_peer(peers: list[dict[str, Any]] | None, other: End) -> bool:
    # An empty list lets everybody through, as does none.
    return not peers or any(_is_peer(peer, other) for peer in peers)


def _is_peer(peer: dict[str, Any], other: End) -> bool:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        if not other.address:
            return False
        address = ipaddress.ip_address(other.address)
        blocked = any(address in ipaddress.ip_network(one) for one in block.get("except", []))
        return address in ipaddress.ip_network(block["cidr"]) and not blocked
    if other.address:
        return False
    if "namespaceSelector" not in peer:
        return other.namespace == NAMESPACE and selects(peer["podSelector"], other.labels)
    return selects(peer["namespaceSelector"], {NAMESPACE_NAME: other.namespace}) and selects(
        peer.get("podSelector", {}), other.labels
    )
