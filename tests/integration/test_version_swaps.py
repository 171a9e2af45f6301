"""Versions that come, go, change and turn out bad while requests run at a fixed rate.

Twenty swaps here; TRIREME_TEST_SWAPS=100 is the long form.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.onnx_models import row_sum, scale, write_version
from tests.support.open_load import MOST_AT_ONCE, open_load
from tests.support.platform import Platform, copy_models, platform
from tests.support.repositories import change
from tests.support.times_models import Shelf, golden_times, write_times

SWAPS = int(os.environ.get("TRIREME_TEST_SWAPS", "20"))
FAST = {"TRIREME_MODELS_POLL_SECONDS": "0.1"}


@pytest.mark.timeout(90 + 6 * SWAPS)
async def test_swaps_under_load_lose_no_request_and_mix_no_versions(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1)
    write_times(models, 2)
    shelf = Shelf(models)
    factors = {"1": {1.0}, "2": {2.0}}
    with platform(models, tmp_path, "--redis", "off", **FAST) as running:
        async with open_load(running.url, factors) as load:
            await load.until_answers("2")
            for swap in range(SWAPS):
                if swap % 2 == 0:
                    shelf.take_away(2)
                    await load.until_answers("1")
                    continue
                shelf.put_back(2)
                await load.until_answers("2")
                if swap % 4 == 3:  # another content under the same number
                    factor = float(swap)
                    factors["2"].add(factor)
                    shelf.replace(2, factor)
                    await load.until_factor("2", factor)
                    await load.until_answers("2", MOST_AT_ONCE)  # those that were under way
                    factors["2"] = {factor}
        assert load.failures == []
        assert load.versions["1"] >= 5 * SWAPS / 2
        assert load.versions["2"] >= 5 * SWAPS / 2
        await the_same_load_sees_faults(running)


async def the_same_load_sees_faults(running: Platform) -> None:
    """Positive control: a version that answers as another one, and requests that are refused, are noticed."""
    async with open_load(running.url, {"1": {7.0}, "2": {7.0}}) as mixed:
        await mixed.until_answers("2")
    assert len(mixed.failures) >= 5
    async with open_load(running.url, {}) as refused, httpx.AsyncClient(base_url=running.url) as client:
        await client.post("/v2/repository/models/times/unload", timeout=30)
        async with asyncio.timeout(30):
            while not any(failure.startswith("503") for failure in refused.failures):
                await asyncio.sleep(0.01)


def truncated(models: Path, name: str) -> None:
    write_times(models, 2, scale(2)[:-40], name=name)


def of_another_schema(models: Path, name: str) -> None:
    write_times(models, 2, row_sum(), name=name)


def with_another_answer(models: Path, name: str) -> None:
    write_version(models, name, 2, scale(2), golden=golden_times(3))


def with_another_digest(models: Path, name: str) -> None:
    spec = models / name / "model.yaml"
    pinned = hashlib.sha256(scale(3)).hexdigest()
    change(spec, f"{spec.read_text()}digests: {{2/model.onnx: {pinned}}}\n")
    write_times(models, 2, name=name)


BAD: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "truncated": (truncated, "model.onnx"),
    "schema": (of_another_schema, "shape"),
    "answer": (with_another_answer, "is not the golden one"),
    "digest": (with_another_digest, "model.yaml pins"),
}


async def test_bad_versions_never_displace_the_good_one_and_say_why(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name in BAD:
        write_times(models, 1, name=name)
    with platform(models, tmp_path, "--redis", "off", **FAST) as running:
        for name, (write_bad, _) in BAD.items():
            write_bad(models, name)
        async with httpx.AsyncClient(base_url=running.url) as client:
            for name, (_, why) in BAD.items():
                reason = await said_of(client, name)
                assert why in reason
                assert str(tmp_path) not in reason
                answer = await client.post(f"/v1/models/{name}/predict", json=[5, 0, 0, 0])
                assert (answer.json()["version"], answer.json()["values"][0]) == ("1", 5.0)
                model = (await client.get("/health")).json()["models"][name]
                assert (model["state"], model["version"]) == ("READY", "1")
                refused = await client.post(f"/v2/repository/models/{name}/rollback", json={"version": "2"})
                assert refused.status_code == 400
                assert why in refused.json()["error"]
                answer = await client.post(f"/v1/models/{name}/predict", json=[6, 0, 0, 0])
                assert answer.json()["version"] == "1"


async def said_of(client: httpx.AsyncClient, name: str, version: str = "2") -> str:
    """Why a version of a model is UNAVAILABLE, as the repository index says."""
    return await said_while(client, name, version, "UNAVAILABLE")


async def said_while(client: httpx.AsyncClient, name: str, version: str, state: str) -> str:
    """What the repository index says of a version once it is in `state`."""
    async with asyncio.timeout(30):
        while True:
            index = (await client.post("/v2/repository/index")).json()
            for entry in index:
                if (entry["name"], entry["version"], entry["state"]) == (name, version, state):
                    return str(entry.get("reason", ""))
            await asyncio.sleep(0.05)


async def test_a_version_that_another_stage_cannot_load_displaces_nothing(tmp_path: Path) -> None:
    models = copy_models(tmp_path / "models", "sentiment-zh")
    home = models / "sentiment-zh"
    spec = (home / "model.yaml").read_text()
    (home / "model.yaml").write_text(spec.replace("names: [负面, 中性, 正面]", "file: names.json"))
    (home / "1" / "names.json").write_text('["负面", "中性", "正面"]')
    faults = {"2": "vocabulary.json", "3": "names.json"}  # of preprocess, of postprocess
    with platform(models, tmp_path, "--redis", "off", **FAST) as running:
        async with httpx.AsyncClient(base_url=running.url) as client:
            for version, missing in faults.items():
                without(home, version, missing)
                assert missing in await said_of(client, home.name, version)
                await loaded_by_inference(running, version)
                await said_while(client, home.name, "1", "READY")  # and not about to be unloaded
                assert await sentiment_version(client) == "1"
    with platform(models, tmp_path, "--redis", "off", **FAST) as running:  # inference loads 3 before it hears
        async with httpx.AsyncClient(base_url=running.url) as client:
            assert await sentiment_version(client) == "1"
            shutil.copy(home / "1" / "names.json", home / "3")
            await said_while(client, home.name, "3", "READY")
            assert await sentiment_version(client) == "3"


async def loaded_by_inference(running: Platform, version: str) -> None:
    """Waits until inference, for which nothing is wrong with the version, has loaded it."""
    wanted = {"event": "model_loaded", "service": "inference", "version": int(version)}
    async with asyncio.timeout(30):
        while not any(wanted.items() <= line.items() for line in running.log_lines()):
            await asyncio.sleep(0.05)


def without(home: Path, version: str, missing: str) -> None:
    """A version that is like the first one but for a file."""
    staged = home.parent / ".staged"
    shutil.copytree(home / "1", staged)
    (staged / missing).unlink()
    staged.rename(home / version)


async def sentiment_version(client: httpx.AsyncClient) -> str:
    answer = await client.post("/predict?model=sentiment-zh", json={"texts": ["很好"]})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["version"])
