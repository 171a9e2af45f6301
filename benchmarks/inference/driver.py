"""Rounds: ONNX Runtime alone, then each server alone; and before them, what setting suits each best.

A B A B: a round visits the anchor and every server once, so that a ratio's sides met the same machine.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.figures import Sample, cores
from benchmarks.inference.models import BenchModel, Prepared, prepare
from benchmarks.inference.raw import BATCHES, RawSetting, measure_raw, raw_settings, write_items
from benchmarks.inference.results import RAW, THRIFTY, ModelResult, Served
from benchmarks.inference.servers import Server, Started, servers
from benchmarks.load.closed_loop import WrongAnswerError
from benchmarks.peers.catalog import ROOT, Setting
from benchmarks.peers.environments import PeerMissingError
from benchmarks.peers.running import launched
from benchmarks.servers import ServerError
from trireme_cli.loadtest.http import ProtocolError

BUSIEST = 64
OPEN_SHARES = (0.5, 0.8)
_PATIENCE_SECONDS = 90.0
_FAILURES = (
    ServerError,
    PeerMissingError,
    WrongAnswerError,
    ProtocolError,
    OSError,
    subprocess.SubprocessError,
)

Tell = Callable[[str], None]
"""Called with what is about to be measured, once a measurement."""


@dataclass(frozen=True)
class Pace:
    """How much is measured."""

    rounds: int
    seconds: float
    warm_up_seconds: float
    trial_seconds: float
    raw_seconds: float
    items: int
    levels: tuple[int, ...] = (1, 16, BUSIEST)
    shares: tuple[float, ...] = OPEN_SHARES
    trials: int | None = None
    """Settings tried of each server; None is all, 1 takes the first untried."""
    raw_batches: tuple[int, ...] = BATCHES
    """Batch sizes tried of ONNX Runtime alone."""

    @property
    def each_round(self) -> int:
        """Measurements of one server in a round."""
        return len(self.levels) + len(self.shares)


def level_of(share: float) -> str:
    """Name of an open loop's level."""
    return f"open {share:.0%}"


def best_setting(tried: Mapping[str, Sample]) -> str:
    """The setting with most answers a second; of settings within 2% the one that took least CPU time.

    Raises ValueError where none was tried.
    """
    most = max(sample.requests_per_second for sample in tried.values())
    fast = [name for name, sample in tried.items() if sample.requests_per_second >= 0.98 * most]
    return min(fast, key=lambda name: tried[name].cpu_us)


class Driver:
    """Measures models one after the other. `directory` takes requests, repositories and logs."""

    def __init__(self, pace: Pace, directory: Path, environment: Mapping[str, str], tell: Tell) -> None:
        self._pace = pace
        self._directory = directory
        self._environment = environment
        self._tell = tell

    def run(self, model: BenchModel, names: Sequence[str], result: ModelResult) -> None:
        """Fills `result`, also with what failed."""
        self._tell(f"{model.name}: building and asking ONNX Runtime")
        home = self._directory / model.name
        home.mkdir(parents=True)
        try:
            prepared = prepare(model, self._pace.items)
        except (OSError, ValueError, ImportError) as error:
            result.failure = f"{type(error).__name__}: {error}"
            return
        items = home / "items.json"
        write_items([item.body for item in prepared.items], items)
        every = servers(prepared, home, self._environment)
        result.servers.update({name: Served() for name in names})
        anchors: dict[str, RawSetting] = {}
        self._guard(result.raw, self._choose_raw, prepared, items, result, anchors)
        chosen: dict[str, Setting] = {}
        for name in names:
            every[name].questions.write(home / f"{name}.json")
            self._guard(result.servers[name], self._choose, home, every[name], result.servers[name], chosen)
        for number in range(1, self._pace.rounds + 1):
            title = f"{model.name}, round {number}"
            for level, raw in anchors.items():
                if not result.raw.failure:
                    self._tell(f"{title}, ONNX Runtime alone, {level}")
                    self._guard(result.raw, self._raw, prepared, items, level, raw, result.raw)
            for name, setting in chosen.items():
                served = result.servers[name]
                if not served.failure:
                    self._guard(served, self._round, home, every[name], setting, served, title)

    def _choose_raw(
        self, prepared: Prepared, items: Path, result: ModelResult, anchors: dict[str, RawSetting]
    ) -> None:
        tried = result.raw.tried
        every = {str(setting): setting for setting in raw_settings(cores(), self._pace.raw_batches)}
        for name, setting in every.items():
            self._tell(f"{prepared.model.name}: ONNX Runtime alone, {name}")
            tried[name] = measure_raw(prepared.folder, items, setting, self._pace.raw_seconds)
        result.anchors[RAW] = best_setting(tried)
        thrifty = min(tried, key=lambda name: tried[name].cpu_us)
        if thrifty != result.anchors[RAW]:
            result.anchors[THRIFTY] = thrifty
        anchors.update({level: every[name] for level, name in result.anchors.items()})

    def _raw(self, prepared: Prepared, items: Path, level: str, setting: RawSetting, served: Served) -> None:
        served.add(level, measure_raw(prepared.folder, items, setting, self._pace.seconds))

    def _choose(self, home: Path, server: Server, served: Served, chosen: dict[str, Setting]) -> None:
        every = {str(setting): setting for setting in server.settings[: self._pace.trials]}
        if server.like in chosen:
            every = {str(chosen[server.like]): chosen[server.like]}
        if len(every) > 1:
            for name, setting in every.items():
                self._tell(f"{home.name}: {server.name}, trying {name}")
                with self._running(home, server, setting) as (pid, port):
                    served.tried[name] = self._measure(
                        home, server, pid, port, BUSIEST, seconds=self._pace.trial_seconds
                    )
        if server.measured is not None:
            served.setting = str(server.measured)
        else:
            served.setting = best_setting(served.tried) if served.tried else next(iter(every))
        chosen[server.name] = every[served.setting]

    def _round(self, home: Path, server: Server, setting: Setting, served: Served, title: str) -> None:
        with self._running(home, server, setting) as (pid, port):
            for callers in self._pace.levels:
                self._tell(f"{title}, {server.name}, {callers} at a time")
                served.add(str(callers), self._measure(home, server, pid, port, callers))
            capacity = served.samples[str(BUSIEST)][-1].requests_per_second
            for share in self._pace.shares:
                level, rate = level_of(share), share * capacity
                self._tell(f"{title}, {server.name}, {rate:,.0f} a second")
                served.rates.setdefault(level, []).append(rate)
                served.add(level, self._measure(home, server, pid, port, BUSIEST, rate=rate))

    @contextmanager
    def _running(self, home: Path, server: Server, setting: Setting) -> Iterator[tuple[int, int]]:
        started: Started = server.start(setting)
        with launched(started.launch, home / f"{server.name}.log") as pid:
            yield pid, started.port

    def _measure(
        self,
        home: Path,
        server: Server,
        pid: int,
        port: int,
        callers: int,
        *,
        seconds: float | None = None,
        rate: float | None = None,
    ) -> Sample:
        seconds = seconds or self._pace.seconds
        options = {
            "port": port,
            "root": pid,
            "callers": callers,
            "warm-up": self._pace.warm_up_seconds,
            "seconds": seconds,
            **({} if rate is None else {"rate": rate}),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        finished = subprocess.run(
            [sys.executable, "-m", "benchmarks.load.tensors", str(home / f"{server.name}.json"), *arguments],
            stdout=subprocess.PIPE,
            check=False,
            cwd=ROOT,
            timeout=self._pace.warm_up_seconds + seconds + 2 * _PATIENCE_SECONDS,
        )
        answer = orjson.loads(finished.stdout or b"{}")
        if finished.returncode != 0:
            reason = answer.get("error", f"the load generator ended with {finished.returncode}")
            raise ServerError(f"{callers} at a time{', open loop' if rate else ''}: {reason}")
        return Sample(**answer)

    def _guard(self, served: Served, step: Callable[..., None], *arguments: object) -> None:
        """Runs a step of one server; what goes wrong there fails that server and no other."""
        try:
            step(*arguments)
        except _FAILURES as error:
            served.fail(f"{type(error).__name__}: {error}")
