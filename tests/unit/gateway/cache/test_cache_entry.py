from __future__ import annotations

import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_gateway.cache.entry import Sealer
from trireme_gateway.cache.events import CacheCounts, Rejection

SECRET = b"a secret of this installation"
KEY = b"k" * 32


class Wall:
    """A settable clock, seconds since the epoch."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def refused(data: bytes, key: bytes = KEY, secret: bytes = SECRET) -> Rejection | None:
    counts = CacheCounts()
    assert Sealer(secret, counts, wall_clock=Wall()).unseal(key, data) is None
    assert counts.rejected.total() == 1
    return next(iter(counts.rejected))


def sealed(value: bytes = b"answer", key: bytes = KEY, secret: bytes = SECRET) -> bytes:
    return Sealer(secret, CacheCounts(), wall_clock=Wall()).seal(key, value, 60)


@given(st.binary(max_size=64), st.binary(max_size=300))
def test_what_was_sealed_opens(key: bytes, value: bytes) -> None:
    counts = CacheCounts()
    sealer = Sealer(SECRET, counts, wall_clock=Wall())
    opened = sealer.unseal(key, sealer.seal(key, value, 60))
    assert opened is not None
    assert opened.value == value
    assert 59.9 < opened.left <= 60
    assert opened.kept == opened.left
    assert not counts.rejected


@given(st.data())
def test_any_flipped_bit_is_refused(data: st.DataObject) -> None:
    envelope = bytearray(sealed())
    bit = data.draw(st.integers(0, len(envelope) * 8 - 1))
    envelope[bit // 8] ^= 1 << bit % 8
    refused(bytes(envelope))


@given(st.data())
def test_any_truncation_and_any_addition_is_refused(data: st.DataObject) -> None:
    envelope = sealed()
    assert refused(envelope[: data.draw(st.integers(0, len(envelope) - 1))]) is Rejection.TRUNCATED
    assert refused(envelope + data.draw(st.binary(min_size=1, max_size=9))) is Rejection.TRUNCATED


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    refused(data)


def test_another_keys_value_is_refused() -> None:
    assert refused(sealed(key=b"j" * 32)) is Rejection.MAC


def test_another_installations_value_is_refused() -> None:
    assert refused(sealed(secret=b"another secret, also long")) is Rejection.MAC


def test_an_old_schema_is_refused() -> None:
    envelope = sealed()
    assert refused(envelope[:4] + b"\x00" + envelope[5:]) is Rejection.SCHEMA


class Bomb:
    """Fails the test when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a stored value was unpickled",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_is_refused_and_never_run(protocol: int) -> None:
    assert refused(pickle.dumps(Bomb(), protocol)) is Rejection.MAGIC


def test_a_value_dies_at_its_expiry() -> None:
    wall = Wall()
    counts = CacheCounts()
    sealer = Sealer(SECRET, counts, wall_clock=wall)
    envelope = sealer.seal(KEY, b"answer", 60)
    wall.now += 59
    opened = sealer.unseal(KEY, envelope)
    assert opened is not None
    assert opened.left == pytest.approx(1, abs=0.01)
    wall.now += 1.01
    assert sealer.unseal(KEY, envelope) is None
    assert counts.rejected == {Rejection.EXPIRED: 1}


def test_a_stale_value_opens_until_it_is_of_no_use() -> None:
    wall = Wall()
    counts = CacheCounts()
    sealer = Sealer(SECRET, counts, wall_clock=wall)
    envelope = sealer.seal(KEY, b"answer", 60, 30)
    wall.now += 70
    held = sealer.unseal(KEY, envelope)
    assert held is not None
    assert (held.value, held.age) == (b"answer", pytest.approx(70, abs=0.01))
    assert (held.left, held.kept) == (pytest.approx(-10, abs=0.01), pytest.approx(20, abs=0.01))
    wall.now += 20.01
    assert sealer.unseal(KEY, envelope) is None
    assert counts.rejected == {Rejection.EXPIRED: 1}


def test_a_clock_that_is_behind_the_writers_makes_no_negative_age() -> None:
    wall = Wall()
    sealer = Sealer(SECRET, CacheCounts(), wall_clock=wall)
    envelope = sealer.seal(KEY, b"answer", 60)
    wall.now -= 5
    held = sealer.unseal(KEY, envelope)
    assert held is not None
    assert held.age == 0


@pytest.mark.parametrize("start", [9, 17, 25])
def test_the_expiry_cannot_be_prolonged(start: int) -> None:
    envelope = sealed()
    far = struct.pack(">Q", 1 << 60)
    assert refused(envelope[:start] + far + envelope[start + 8 :]) is Rejection.MAC


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 16"):
        Sealer(b"short", CacheCounts())
