"""Which versions of a model are worth having here: what was put back, what its policy wants, and spares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from trireme_common.errors import SpecError
from trireme_common.model_spec import ModelSpec, read_model_spec
from trireme_common.remote.catalog import RemoteModel
from trireme_common.remote.plan import Wanted
from trireme_common.repository import SPEC_FILE
from trireme_common.triton.translation import CONFIG_FILE, read_triton_model


def wanted_versions(
    model: RemoteModel, find: Callable[[str], Path], spare: int, ordered: int | None = None
) -> Wanted:
    """What the policy of a model's spec says of the versions that the source lists.

    `find` gives the path of a shared file here by its name. `latest`, which also stands for a spec that is
    missing or cannot be read, wants the newest `count` and has the `spare` next ones as spares; `all` and
    `specific` want what they say and have no spares. An `ordered` version, which answers whatever the policy
    says, is wanted first.
    """
    wanted = _by_policy(model, find, spare)
    if ordered is None or ordered not in model.versions:
        return wanted
    others, spares = (
        tuple(version for version in versions if version != ordered)
        for versions in (wanted.needed, wanted.spares)
    )
    return Wanted((ordered, *others), spares)


def _by_policy(model: RemoteModel, find: Callable[[str], Path], spare: int) -> Wanted:
    newest_first = sorted(model.versions, reverse=True)
    try:
        policy = _read_spec(model, find).versions
    except (SpecError, OSError):  # the stages will say what is wrong with it
        return _latest(newest_first, 1, spare)
    if policy.policy == "all":
        return Wanted(tuple(newest_first))
    if policy.policy == "specific":
        return Wanted(tuple(version for version in newest_first if version in policy.list))
    return _latest(newest_first, policy.count, spare)


def _latest(newest_first: list[int], count: int, spare: int) -> Wanted:
    return Wanted(tuple(newest_first[:count]), tuple(newest_first[count : count + spare]))


def _read_spec(model: RemoteModel, find: Callable[[str], Path]) -> ModelSpec:
    if any(file.path == f"{model.name}/{SPEC_FILE}" for file in model.shared):
        return read_model_spec(find(SPEC_FILE))
    names = {PurePosixPath(file.path).name for files in model.versions.values() for file in files}
    return read_triton_model(find(CONFIG_FILE), names).spec
