from trireme_cli.up.stop_signals import StopSignals


async def test_the_first_asks_to_stop_and_a_later_one_to_hurry() -> None:
    now = 10.0
    signals = StopSignals(lambda: now)

    signals.receive()
    assert signals.stop.is_set()
    now += 0.1
    signals.receive()
    assert not signals.hurry.is_set(), "one Ctrl-C that arrives twice"
    now += 1
    signals.receive()

    assert signals.hurry.is_set()
