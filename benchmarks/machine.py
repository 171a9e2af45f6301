"""Where figures were taken: without it they mean nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import cores

_PACKAGES = ("uvicorn", "uvloop", "httptools", "orjson", "fastapi", "grpcio", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Machine:
    """The machine, its software, and how busy it was before the first measurement."""

    date: str
    cpu: str
    cores: int
    kernel: str
    python: str
    packages: dict[str, str]
    load_average: float
    """Of the last minute, at the start."""
    settings: dict[str, str]
    """TRIREME_* variables that whoever called had set; the servers inherit them."""

    def lines(self) -> list[str]:
        """For people."""
        software = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        said = [
            f"{self.date}; {self.cores} cores of {self.cpu}, Linux {self.kernel}, "
            f"load average {self.load_average:.2f} at the start",
            f"Python {self.python}, {software}",
        ]
        if self.settings:
            said.append(", ".join(f"{name}={value}" for name, value in self.settings.items()))
        return said


def this_machine(environment: Mapping[str, str]) -> Machine:
    """As it is now."""
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cpu=_cpu(Path("/proc/cpuinfo")),
        cores=cores(),
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: version(name) for name in _PACKAGES},
        load_average=os.getloadavg()[0],
        settings={
            name: "***" if _is_secret(name) else value
            for name, value in sorted(environment.items())
            if name.startswith("TRIREME_")
        },
    )


def _is_secret(name: str) -> bool:
    return any(word in name for word in ("SECRET", "KEY", "TOKEN", "URL"))


def _cpu(cpuinfo: Path) -> str:
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
