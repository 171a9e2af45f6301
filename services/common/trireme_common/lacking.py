"""Versions that another stage lacks: it has not got their files yet, or cannot load them.

No request can be routed to such a version, however good it is here, so it must not take the place of one that
all stages have. Gateways, which know all stages, tell inference which versions these are; what one says last
stands. docs/adr/0019 says why so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from trireme_common.model_spec import is_model_name
from trireme_common.orders import Order, is_version
from trireme_common.repository import VersionFiles
from trireme_common.version_policy import Policy
from trireme_protos.trireme.v1 import envelope_pb2

logger = structlog.get_logger(__name__)

Lacking = frozenset[tuple[str, str]]
"""Model and version."""
Models = Mapping[str, Sequence[VersionFiles]]
"""The versions on disk by model."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Versions of one model that are to be had."""

    candidates: Sequence[int] = ()
    """From the most wanted on."""
    count: int = 0
    """How many of them are to be READY, beside the one that waits."""
    waiting: int | None = None
    """The most wanted one, where another stage lacks it: it stays at hand until all have it."""


class Chooser:
    """What a policy says, as far as the other stages have it. `order` gives the order for a model."""

    def __init__(self, policy: Policy, order: Callable[[str], Order | None]) -> None:
        self._policy = policy
        self._order = order
        self._lacking: Lacking = frozenset()

    def lack(self, versions: Lacking, models: Models) -> set[str]:
        """Takes what the other stages lack. Returns those of `models` for which something follows from it."""
        concerned = {model for model, _ in self._lacking ^ versions} & models.keys()
        if self._lacking != versions:
            logger.info("others_lack", versions=sorted(" ".join(version) for version in versions))
        before = {name: self.choose(name, models[name]) for name in concerned}
        self._lacking = versions
        return {name for name in concerned if self.choose(name, models[name]) != before[name]}

    def first(self, models: Models) -> Iterator[VersionFiles]:
        """Versions that are to be READY if all goes well, and those that wait."""
        for name, versions in models.items():
            choice = self.choose(name, versions)
            number = choice.count + (choice.waiting is not None)
            yield from (files for files in versions if files.version in choice.candidates[:number])

    def choose(self, name: str, versions: Sequence[VersionFiles]) -> Choice:
        """Of those on disk. Where other stages lack them all, that makes no difference between them."""
        if not versions:
            return Choice()
        numbers = [files.version for files in versions]
        candidates, count = self._policy(versions[0].spec, numbers, self._order(name))
        whole = [number for number in candidates if (name, str(number)) not in self._lacking]
        if not whole or whole[0] == candidates[0]:
            return Choice(whole or candidates, count)
        return Choice([candidates[0], *whole], count, candidates[0])


def encode_lacking(versions: Lacking) -> envelope_pb2.Lacking:
    """Protobuf form."""
    names = [envelope_pb2.VersionName(model=model, version=version) for model, version in sorted(versions)]
    return envelope_pb2.Lacking(versions=names)


def decode_lacking(message: envelope_pb2.Lacking) -> Lacking:
    """Inverse of `encode_lacking`; leaves out what no gateway of ours says."""
    names: Iterable[envelope_pb2.VersionName] = message.versions
    return frozenset(
        (name.model, name.version) for name in names if is_model_name(name.model) and is_version(name.version)
    )
