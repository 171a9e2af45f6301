from __future__ import annotations

from trireme_gateway.hop.discovery import Discovery, system_resolve


class FakeNames:
    """`Resolve` over a table; a name that is missing cannot be asked."""

    def __init__(self, **names: list[str]) -> None:
        self.names = names

    async def __call__(self, host: str, port: int) -> list[str]:
        if host not in self.names:
            raise OSError("no such name")
        return [f"{ip}:{port}" for ip in self.names[host]]


async def test_a_name_is_as_many_endpoints_as_it_has_addresses() -> None:
    discovery = Discovery(["a:1", "b:2"], FakeNames(a=["10.0.0.1", "10.0.0.2"], b=["10.0.0.3"]))
    assert await discovery.look() == {"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:2"}


async def test_changes_are_followed() -> None:
    names = FakeNames(a=["10.0.0.1", "10.0.0.2"])
    discovery = Discovery(["a:1"], names)
    await discovery.look()
    names.names["a"] = ["10.0.0.2", "10.0.0.9"]
    assert await discovery.look() == {"10.0.0.2:1", "10.0.0.9:1"}


async def test_a_name_that_fails_or_is_empty_keeps_what_it_had_and_nothing_of_others() -> None:
    names = FakeNames(a=["10.0.0.1"], b=["10.0.0.2"])
    discovery = Discovery(["a:1", "b:1"], names)
    await discovery.look()
    del names.names["a"]
    names.names["b"] = ["10.0.0.3"]
    assert await discovery.look() == {"10.0.0.1:1", "10.0.0.3:1"}
    names.names["a"] = []
    assert await discovery.look() == {"10.0.0.1:1", "10.0.0.3:1"}
    names.names["a"] = ["10.0.0.7"]
    assert await discovery.look() == {"10.0.0.7:1", "10.0.0.3:1"}


async def test_the_same_address_by_two_names_is_one_endpoint() -> None:
    assert await Discovery(["a:1", "b:1"], FakeNames(a=["10.0.0.1"], b=["10.0.0.1"])).look() == {"10.0.0.1:1"}


async def test_an_endpoint_has_the_name_by_which_it_was_found() -> None:
    names = FakeNames(a=["10.0.0.1"], b=["10.0.0.2"])
    discovery = Discovery(["a:1", "b:1"], names)
    await discovery.look()
    assert (discovery.name_of("10.0.0.1:1"), discovery.name_of("10.0.0.2:1")) == ("a:1", "b:1")
    assert discovery.name_of("10.0.0.3:1") == "10.0.0.3:1"


async def test_addresses_of_both_families_by_the_system() -> None:
    found = await Discovery(["127.0.0.1:1", "[::1]:2", f"{'a' * 70}.invalid:3"], system_resolve).look()
    assert found == {"127.0.0.1:1", "[::1]:2"}
