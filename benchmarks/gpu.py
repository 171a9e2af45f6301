"""One table of what a GPU gives raw and served: `python -m benchmarks.gpu`, in one call.

A network of MobileNetV2's size in fp32, bf16 and fp16, batches of 1 to 256: torch alone with the batch on
the device, torch alone from host memory, ONNX Runtime where it has CUDA, and the inference service's own
gRPC door with the torch backend, as it comes and with CUDA graphs. It needs torch and the packages of the
inference service; where they are not installed, PYTHONPATH=protos:services/common:services/inference:lab
finds them here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.accelerator import served
from benchmarks.accelerator.raw import DTYPES, Rate, onnx_rates, torch_rates
from benchmarks.models import cnn
from trireme_inference.runtimes import with_cuda
from trireme_lab.torch_export import to_program

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
KINDS = {"as it comes": {}, "CUDA graphs": {"TRIREME_INFERENCE_TORCH_CUDA_GRAPHS": "true"}}


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long each point of it."""

    device: str
    network: Callable[[], nn.Module] = cnn.network
    """Takes UINT8 [N, ...] and gives FP32 [N, classes], computing in the type of its weights."""
    image: tuple[int, ...] = (3, cnn.SIDE, cnn.SIDE)
    classes: int = cnn.CLASSES
    precisions: Sequence[str] = tuple(DTYPES)
    sizes: Sequence[int] = SIZES
    seconds: float = 1.0
    rows: Sequence[int] = (1, 32)
    """Of a served request."""
    outstanding: Sequence[int] = (8, 32)
    most_rows: int = 256

    def images(self) -> np.ndarray:
        """Eight of what the network takes: noise, for what is counted is time alone."""
        return np.random.default_rng(1).integers(0, 256, (8, *self.image), np.uint8)


def raw(plan: Plan, folder: Path) -> Iterator[Rate]:
    """The rates of the runtimes alone."""
    images = plan.images()
    for precision in plan.precisions:
        for from_host in (False, True):
            yield from torch_rates(
                plan.network(), images, plan.device, precision, plan.sizes, plan.seconds, from_host=from_host
            )
    if plan.device.startswith("cuda") and "onnxruntime" in with_cuda():
        model = cnn.build(folder / "onnx") / "1" / "model.onnx"
        yield from onnx_rates(model, images, plan.device, plan.sizes, plan.seconds)


async def through_the_service(plan: Plan, folder: Path) -> list[Rate]:
    """The rates at the service's door, of the models that `write_models` left in `folder`."""
    images, rates = plan.images(), []
    for kind, environment in KINDS.items():
        if environment and plan.device == "cpu":
            continue
        log = folder.parent / "service.log"
        async with served.service(folder, plan.device, log, **environment) as channel:
            for precision in plan.precisions:
                model = f"cnn-{precision}"
                await served.wait_ready(channel, model, log)
                for rows in plan.rows:
                    for outstanding in plan.outstanding:
                        rate = await served.served_rate(
                            channel, model, precision, images, rows, outstanding, plan.seconds, plan.device
                        )
                        rates.append(Rate(**{**asdict(rate), "runtime": f"{rate.runtime}, {kind}"}))
    return rates


def write_models(plan: Plan, folder: Path) -> None:
    """A torch model for each precision, its weights in that type."""
    example = torch.from_numpy(plan.images())
    for precision in plan.precisions:
        directory = folder / f"cnn-{precision}"
        (directory / "1").mkdir(parents=True)
        network = plan.network().to(DTYPES[precision])
        to_program(
            network, {"image": example}, directory / "1" / "model.pt2", dynamic={"image": {0: "batch"}}
        )
        served.write_spec(directory, plan.image, plan.classes, plan.most_rows)


def table(rates: Sequence[Rate]) -> str:
    """Markdown; the last column compares with the best rate of torch alone in the same precision."""
    best: dict[str, float] = {}
    for rate in rates:
        if rate.runtime.startswith("torch") and "host" not in rate.runtime:
            best[rate.precision] = max(best.get(rate.precision, 0.0), rate.items_per_second)
    lines = [
        "| what | precision | rows | items/s | GPU busy | of the best raw |",
        "|---|---|---|---|---|---|",
    ]
    for rate in rates:
        busy = "" if rate.busy_percent is None else f"{rate.busy_percent:.0f}%"
        share = f"{rate.items_per_second / best[rate.precision]:.2f}" if rate.precision in best else ""
        cells = (rate.runtime, rate.precision, rate.rows, f"{rate.items_per_second:,.0f}", busy, share)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def measure(plan: Plan) -> list[Rate]:
    """All of it, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        models = Path(name) / "models"
        write_models(plan, models)
        rates = list(raw(plan, Path(name)))
        return [*rates, *asyncio.run(through_the_service(plan, models))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu to try the script")
    parser.add_argument("--seconds", type=float, default=1.0, help="of every point")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="rows of a raw batch")
    parser.add_argument("--precisions", nargs="+", choices=list(DTYPES), default=list(DTYPES))
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    if options.device != "cpu" and not torch.cuda.is_available():
        print("this torch finds no GPU; --device cpu tries the script on the CPU", file=sys.stderr)
        return 1
    where = "the CPU" if options.device == "cpu" else torch.cuda.get_device_name(options.device)
    rates = measure(
        Plan(
            options.device,
            precisions=tuple(options.precisions),
            sizes=tuple(options.sizes),
            seconds=options.seconds,
        )
    )
    print(f"{where}, numpy {np.__version__}\n\n{table(rates)}")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(rate) for rate in rates], indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
