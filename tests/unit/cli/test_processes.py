from pathlib import Path

import pytest

from trireme_cli.failure import UsageFailure
from trireme_cli.up.command import check_exposure, check_redis, parse_replicas
from trireme_cli.up.ports import PortAllocator
from trireme_cli.up.processes import Options, Platform, Program, StopOrder, plan


def _plan(tmp_path: Path, environment: dict[str, str] | None = None, **options: object) -> Platform:
    chosen = Options(models_dir=tmp_path, http_port=0, grpc_port=0, **options)  # type: ignore[arg-type]
    return plan(chosen, environment or {"PATH": "/bin"}, tmp_path, PortAllocator())


def _by_name(platform: Platform) -> dict[str, Program]:
    return {program.name: program for program in platform.programs}


def test_gateway_knows_every_replica(tmp_path: Path) -> None:
    programs = _by_name(_plan(tmp_path, replicas={"inference": 2}))

    assert set(programs) == {
        "redis",
        "preprocess-0",
        "inference-0",
        "inference-1",
        "postprocess-0",
        "gateway",
    }
    gateway = programs["gateway"].environment
    assert gateway["TRIREME_GATEWAY_INFERENCE_ADDRESSES"] == ",".join(
        programs[name].address for name in ("inference-0", "inference-1")
    )
    assert gateway["TRIREME_GATEWAY_PREPROCESS_ADDRESSES"] == programs["preprocess-0"].address
    assert gateway["TRIREME_MODELS_DIR"] == str(tmp_path.resolve())
    assert gateway["PATH"] == "/bin"
    assert "TRIREME_GATEWAY_ALLOW_ANONYMOUS" not in gateway


def test_a_stage_is_told_its_own_port(tmp_path: Path) -> None:
    inference = _by_name(_plan(tmp_path))["inference-0"]

    assert inference.environment["TRIREME_INFERENCE_HOST"] == "127.0.0.1"
    assert inference.address == f"127.0.0.1:{inference.environment['TRIREME_INFERENCE_PORT']}"
    assert inference.command[1:] == ("-m", "trireme_inference")


def test_ranks_of_the_end(tmp_path: Path) -> None:
    programs = _by_name(_plan(tmp_path))

    assert programs["gateway"].stop_order < programs["inference-0"].stop_order < programs["redis"].stop_order
    assert programs["redis"].stop_order is StopOrder.STORE


def test_embedded_redis_keeps_nothing_and_has_no_port(tmp_path: Path) -> None:
    platform = _plan(tmp_path)
    command = _by_name(platform)["redis"].command

    pairs = dict(zip(command[1::2], command[2::2], strict=True))
    assert pairs["--port"] == "0"
    assert pairs["--save"] == ""
    assert pairs["--appendonly"] == "no"
    assert pairs["--maxmemory-policy"] == "allkeys-lfu"
    assert platform.redis_url == f"unix://{pairs['--unixsocket']}"
    assert Path(pairs["--unixsocket"]).parent == tmp_path


def test_without_redis_a_url_of_the_environment_is_forgotten(tmp_path: Path) -> None:
    platform = _plan(tmp_path, {"TRIREME_GATEWAY_REDIS_URL": "redis://elsewhere"}, redis="off")

    programs = _by_name(platform)
    assert "redis" not in programs
    assert "TRIREME_GATEWAY_REDIS_URL" not in programs["gateway"].environment


def test_a_redis_of_ones_own(tmp_path: Path) -> None:
    platform = _plan(tmp_path, redis="redis://cache:6379/1")

    programs = _by_name(platform)
    assert "redis" not in programs
    assert programs["gateway"].environment["TRIREME_GATEWAY_REDIS_URL"] == "redis://cache:6379/1"


def test_one_metrics_port_is_not_given_to_two_replicas(tmp_path: Path) -> None:
    environment = {"TRIREME_INFERENCE_METRICS_PORT": "9090"}
    programs = _by_name(_plan(tmp_path, environment, replicas={"inference": 2}))

    assert programs["inference-0"].environment["TRIREME_INFERENCE_METRICS_PORT"] == "9090"
    assert "TRIREME_INFERENCE_METRICS_PORT" not in programs["inference-1"].environment


def test_replicas() -> None:
    assert parse_replicas("inference=2, preprocess=1") == {"inference": 2, "preprocess": 1}
    assert parse_replicas("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("infrence=2", "is no stage; stages: preprocess, inference, postprocess"),
        ("gateway=2", "use --workers"),
        ("inference", "wants 1 to 64"),
        ("inference=0", "wants 1 to 64"),
        ("inference=-1", "wants 1 to 64"),
        ("inference=1,inference=2", "stands twice"),
    ],
)
def test_replicas_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(UsageFailure, match=message):
        parse_replicas(text)


def test_redis_that_makes_no_sense() -> None:
    assert check_redis("off") == "off"
    with pytest.raises(UsageFailure, match="embedded, off, redis://HOST:PORT"):
        check_redis("localhost:6379")


def test_strangers_need_permission(tmp_path: Path) -> None:
    check_exposure(Options(tmp_path))
    check_exposure(Options(tmp_path, host="0.0.0.0", allow_anonymous=True))
    with pytest.raises(UsageFailure, match="--allow-anonymous"):
        check_exposure(Options(tmp_path, host="0.0.0.0"))
