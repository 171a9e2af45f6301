"""Which versions preprocess or postprocess lacks, from what their endpoints say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trireme_common.lacking import Lacking
from trireme_common.stage_state import ModelVersion, State

Seen = Mapping[tuple[str, str], ModelVersion]
"""By model and version, the best state over the endpoints of one stage."""


def lacking_versions(inference: Seen, keepers: Sequence[Seen], before: Lacking) -> Lacking:
    """Versions that any stage knows and one of `keepers`, which keep every version on disk, lacks.

    One that is being loaded, or whose model an endpoint has not read yet, stays what it was `before`: a stage
    that restarts is no news of the version.
    """
    known = {key for seen in (inference, *keepers) for key in seen if key[1]}
    verdicts = [_lacking_in(seen, known) for seen in keepers]
    lacking = frozenset[tuple[str, str]]().union(*(yes for yes, _ in verdicts))
    unclear = frozenset[tuple[str, str]]().union(*(unclear for _, unclear in verdicts))
    return lacking | (before & unclear)


def _lacking_in(seen: Seen, known: set[tuple[str, str]]) -> tuple[Lacking, Lacking]:
    """Versions that a stage lacks, and those of which it cannot be told yet."""
    read = {model for (model, _), entry in seen.items() if entry.descriptor is not None}
    absent = known - seen.keys()
    failed = {key for key, entry in seen.items() if key[1] and entry.state is State.UNAVAILABLE}
    loading = {key for key, entry in seen.items() if key[1] and entry.state is State.LOADING}
    lacking = failed | {key for key in absent if key[0] in read}
    return frozenset(lacking), frozenset(loading | (absent - lacking))
