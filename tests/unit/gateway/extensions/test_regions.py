from __future__ import annotations

from typing import Any

import pytest

from trireme_common.errors import Code, TriremeError
from trireme_gateway.extensions.regions import checked_region, file_name_of


@pytest.mark.parametrize("key", ["/inputs", "inputs", "a.b-c_1", "输入", ".hidden"])
def test_a_key_is_a_file_name_that_may_have_a_slash_before_it(key: str) -> None:
    region = checked_region("r", key, 8, 64)
    assert file_name_of(region.key) == key.lstrip("/")
    assert region.status() == {"name": "r", "key": key, "offset": 8, "byte_size": 64}


@pytest.mark.parametrize(
    ("name", "key", "offset", "byte_size", "said"),
    [
        ("", "/a", 0, 1, "'region name' is necessary"),
        ("n" * 257, "/a", 0, 1, "at most 256"),
        ("r", None, 0, 1, "no 'key' field"),
        ("r", "", 0, 1, "invalid shm key ''"),
        ("r", "/", 0, 1, "invalid shm key '/'"),
        ("r", "//a", 0, 1, "invalid shm key"),
        ("r", "/a/b", 0, 1, "invalid shm key"),
        ("r", "..", 0, 1, "invalid shm key"),
        ("r", "/..", 0, 1, "invalid shm key"),
        ("r", "/.", 0, 1, "invalid shm key"),
        ("r", "/../etc/passwd", 0, 1, "invalid shm key"),
        ("r", "/a\0b", 0, 1, "invalid shm key"),
        ("r", "/" + "k" * 256, 0, 1, "invalid shm key"),
        ("r", "/sem.lock", 0, 1, "reserved prefix 'sem.'"),
        ("r", "/a", -1, 1, "'offset' must be a whole number"),
        ("r", "/a", 0, None, "'byte_size' must be a whole number"),
        ("r", "/a", 0, True, "'byte_size' must be a whole number"),
        ("r", "/a", 0, 2**63, "'byte_size' must be a whole number"),
    ],
)
def test_what_names_no_memory_is_refused(name: Any, key: Any, offset: Any, byte_size: Any, said: str) -> None:
    with pytest.raises(TriremeError) as refused:
        checked_region(name, key, offset, byte_size)
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert said in refused.value.detail
