"""Rounds: ONNX Runtime alone, then each server alone; and before them, what setting suits each best.

A B A B: a round visits the anchor and every server once, so that a ratio's sides met the same machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import cores
from benchmarks.inference.asking import BUSIEST, FAILURES, Tell, ask, best_setting, running, trials
from benchmarks.inference.models import BenchModel, Prepared, prepare
from benchmarks.inference.raw import BATCHES, RawSetting, measure_raw, raw_settings, write_items
from benchmarks.inference.results import RAW, THRIFTY, ModelResult, Served
from benchmarks.inference.servers import Server, servers
from benchmarks.peers.catalog import Setting
from benchmarks.window import Window

OPEN_SHARES = (0.5, 0.8)


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

    @property
    def window(self) -> Window:
        """Of every measurement of the rounds."""
        return Window(self.warm_up_seconds, self.seconds)

    @property
    def trial(self) -> Window:
        """Of a setting that is tried."""
        return Window(self.warm_up_seconds, self.trial_seconds)


def level_of(share: float) -> str:
    """Name of an open loop's level."""
    return f"open {share:.0%}"


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
            for name, sample in trials(server, every, home, self._pace.trial, self._tell):
                served.tried[name] = sample
        if server.measured is not None:
            served.setting = str(server.measured)
        else:
            served.setting = best_setting(served.tried) if served.tried else next(iter(every))
        chosen[server.name] = every[served.setting]

    def _round(self, home: Path, server: Server, setting: Setting, served: Served, title: str) -> None:
        with running(server, setting, home) as up:
            for callers in self._pace.levels:
                self._tell(f"{title}, {server.name}, {callers} at a time")
                served.add(str(callers), ask(up, self._pace.window, callers).sample)
            capacity = served.samples[str(BUSIEST)][-1].requests_per_second
            for share in self._pace.shares:
                level, rate = level_of(share), share * capacity
                self._tell(f"{title}, {server.name}, {rate:,.0f} a second")
                served.rates.setdefault(level, []).append(rate)
                served.add(level, ask(up, self._pace.window, rate=rate).sample)

    def _guard(self, served: Served, step: Callable[..., None], *arguments: object) -> None:
        """Runs a step of one server; what goes wrong there fails that server and no other."""
        try:
            step(*arguments)
        except FAILURES as error:
            served.fail(f"{type(error).__name__}: {error}")
