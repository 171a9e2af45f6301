from trireme_cli.up.backoff import Backoff


def test_doubles_up_to_the_limit() -> None:
    backoff = Backoff()

    delays = [backoff.delay_after(0.0) for _ in range(8)]

    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_long_life_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.delay_after(1.0)

    assert backoff.delay_after(29.9) == 3.2
    assert backoff.delay_after(30.0) == 0.1
    assert backoff.delay_after(0.0) == 0.2
