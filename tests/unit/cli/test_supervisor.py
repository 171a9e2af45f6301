"""The restart policy and the order of the end, with fake processes and a fake clock."""

import asyncio
import signal
from collections.abc import Callable

from trireme_cli.up.events import Died, Event, Killed, Refused, Restarted
from trireme_cli.up.processes import Program, StopOrder
from trireme_cli.up.supervisor import Supervisor


class FakeProcess:
    """A process that ends when the test says so, or at a signal it does not ignore."""

    def __init__(self, pid: int, log: list[str], name: str, ignores: set[signal.Signals]) -> None:
        self._pid = pid
        self._log = log
        self._name = name
        self._ignores = ignores
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int:
        return self._pid

    async def wait(self) -> int:
        return await self._end

    def send(self, number: signal.Signals) -> None:
        self._log.append(f"{number.name} {self._name}")
        if number not in self._ignores:
            self.end(-number)

    def end(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)
            self._log.append(f"end {self._name}")


class FakeWorld:
    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []
        self.events: list[Event] = []
        self.processes: dict[str, list[FakeProcess]] = {}
        self.ignores: dict[str, set[signal.Signals]] = {}
        self.slept: list[float] = []

    async def launch(self, program: Program) -> FakeProcess:
        lives = self.processes.setdefault(program.name, [])
        process = FakeProcess(100 + len(lives), self.log, program.name, self.ignores.get(program.name, set()))
        lives.append(process)
        return process

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def supervisor(self, *programs: Program, grace_seconds: float = 5.0) -> Supervisor:
        return Supervisor(
            programs,
            self.launch,
            self.events.append,
            grace_seconds=grace_seconds,
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(1_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError(f"it never came: {self.log} {self.events}")

    async def die(self, name: str, code: int, life: int) -> None:
        await self.until(lambda: len(self.processes.get(name, [])) > life)
        self.processes[name][life].end(code)


def program(name: str, stop_order: StopOrder = StopOrder.STAGE) -> Program:
    return Program(name, ("/bin/true",), {}, "127.0.0.1:1", stop_order)


async def test_a_program_that_dies_comes_back_later_and_later() -> None:
    world = FakeWorld()
    supervisor = world.supervisor(program("inference-0"))
    supervisor.start()

    await world.die("inference-0", -signal.SIGKILL, life=0)
    await world.die("inference-0", 1, life=1)
    await world.until(lambda: len(world.processes["inference-0"]) == 3)
    await world.until(lambda: len(world.events) == 4)

    assert world.events == [
        Died("inference-0", -9, 0.1, 1),
        Restarted("inference-0", 101, 1),
        Died("inference-0", 1, 0.2, 2),
        Restarted("inference-0", 102, 2),
    ]
    assert supervisor.pids == {"inference-0": 102}
    await supervisor.stop(asyncio.Event())


async def test_a_long_life_is_forgiven() -> None:
    world = FakeWorld()
    supervisor = world.supervisor(program("inference-0"))
    supervisor.start()
    for life in range(3):
        await world.die("inference-0", 1, life)
    await world.until(lambda: len(world.processes["inference-0"]) == 4)
    world.now += 30

    await world.die("inference-0", 1, 3)
    await world.until(lambda: len(world.processes["inference-0"]) == 5)

    assert world.slept == [0.1, 0.2, 0.4, 0.1]
    await supervisor.stop(asyncio.Event())


async def test_exit_code_2_at_the_start_is_final() -> None:
    world = FakeWorld()
    supervisor = world.supervisor(program("inference-0"), program("preprocess-0"))
    supervisor.start()

    await world.die("inference-0", 2, life=0)

    assert await asyncio.wait_for(supervisor.refused(), 5) == Refused("inference-0", 2)
    assert world.events == [Refused("inference-0", 2)]
    assert world.slept == []
    await supervisor.stop(asyncio.Event())


async def test_exit_code_2_of_a_later_life_is_tried_again() -> None:
    world = FakeWorld()
    supervisor = world.supervisor(program("inference-0"))
    supervisor.start()

    await world.die("inference-0", 1, life=0)
    await world.die("inference-0", 2, life=1)
    await world.until(lambda: len(world.processes["inference-0"]) == 3)

    assert world.slept == [0.1, 0.2]
    await supervisor.stop(asyncio.Event())


async def test_gateway_ends_before_the_stages_and_those_before_redis() -> None:
    world = FakeWorld()
    supervisor = world.supervisor(
        program("redis", StopOrder.STORE),
        program("preprocess-0"),
        program("inference-0"),
        program("gateway", StopOrder.GATEWAY),
    )
    supervisor.start()
    await world.until(lambda: len(world.processes) == 4)

    await supervisor.stop(asyncio.Event())

    assert world.log == [
        "SIGTERM gateway",
        "end gateway",
        "SIGTERM preprocess-0",
        "end preprocess-0",
        "SIGTERM inference-0",
        "end inference-0",
        "SIGTERM redis",
        "end redis",
    ]
    assert world.events == []
    assert supervisor.pids == {}


async def test_what_does_not_end_in_time_is_killed_and_said() -> None:
    world = FakeWorld()
    world.ignores["inference-0"] = {signal.SIGTERM}
    supervisor = world.supervisor(program("inference-0"), grace_seconds=0.05)
    supervisor.start()
    await world.until(lambda: bool(world.processes))

    await supervisor.stop(asyncio.Event())

    assert world.log == ["SIGTERM inference-0", "SIGKILL inference-0", "end inference-0"]
    assert world.events == [Killed("inference-0", 0.05, hurried=False)]


async def test_a_second_request_cuts_the_grace_short() -> None:
    world = FakeWorld()
    world.ignores = {"inference-0": {signal.SIGTERM}, "gateway": {signal.SIGTERM}}
    supervisor = world.supervisor(program("inference-0"), program("gateway", StopOrder.GATEWAY))
    supervisor.start()
    await world.until(lambda: len(world.processes) == 2)
    hurry = asyncio.Event()
    stopping = asyncio.create_task(supervisor.stop(hurry))
    await world.until(lambda: bool(world.log))

    hurry.set()
    await asyncio.wait_for(stopping, 2)

    assert [event.name for event in world.events] == ["gateway", "inference-0"]
    assert all(isinstance(event, Killed) and event.hurried for event in world.events)


async def test_stop_while_a_restart_is_awaited() -> None:
    world = FakeWorld()
    forever = asyncio.Event()

    async def sleep(_: float) -> None:
        await forever.wait()

    supervisor = Supervisor([program("inference-0")], world.launch, world.events.append, sleep=sleep)
    supervisor.start()
    await world.die("inference-0", 1, life=0)
    await world.until(lambda: bool(world.events))

    await asyncio.wait_for(supervisor.stop(asyncio.Event()), 2)

    assert len(world.processes["inference-0"]) == 1


async def test_stop_before_anything_has_been_launched() -> None:
    world = FakeWorld()
    supervisor = world.supervisor(program("inference-0"))
    supervisor.start()

    await asyncio.wait_for(supervisor.stop(asyncio.Event()), 2)

    assert all(line.startswith(("SIGTERM", "end")) for line in world.log)
    assert supervisor.pids == {}
