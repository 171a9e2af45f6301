"""Hostile torch archives are refused before torch sees them, and their canary stays unwritten."""

import contextlib
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.support.torch_models import (
    Linear,
    edit_program,
    pickled,
    rewrite,
    torch_pickled,
    write_program,
    write_script,
)
from trireme_common.errors import SpecError
from trireme_common.stage_state import TensorInfo
from trireme_inference.backend import OpenOptions
from trireme_inference.torch_archive import open_archive
from trireme_inference.torch_backend import open_torch
from trireme_inference.torch_program import harmless_expression

OPTIONS = OpenOptions(inputs=(TensorInfo("x", "FP32", (-1, 4)),), outputs=(TensorInfo("y", "FP32", (-1, 3)),))
ROOT = "model"


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.pt2 and model.pt, both good."""
    folder = tmp_path_factory.mktemp("originals")
    write_program(folder / "model.pt2", Linear(), torch.zeros(2, 4))
    write_script(folder / "model.pt", Linear())
    return folder


@pytest.fixture
def program(originals: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model.pt2"
    path.write_bytes((originals / "model.pt2").read_bytes())
    return path


@pytest.fixture
def script(originals: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes((originals / "model.pt").read_bytes())
    return path


def refusal(path: Path) -> str:
    """Why the archive is refused, which takes less than a second."""
    begun = time.monotonic()
    with pytest.raises(SpecError) as caught:
        open_torch(path.parent, OPTIONS)
    assert time.monotonic() - begun < 1
    return caught.value.detail


def touching(canary: Path) -> str:
    return f"__import__('pathlib').Path({str(canary)!r}).touch()"


def test_the_archives_are_good_as_they_are(program: Path, script: Path) -> None:
    for path in (program, script):
        rewrite(path, {})
        open_torch(
            path.parent, OpenOptions(inputs=OPTIONS.inputs, outputs=OPTIONS.outputs, model_file=path.name)
        )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("data/sample_inputs/model.pt", "example_inputs = None"),
        ("data/weights/model.pt", "neither pickled objects"),
        ("data/constants/model.pt", "neither pickled objects"),
        ("data/constants/custom_obj_0", "neither pickled objects"),
        ("data/constants/opaque_obj_0", "neither pickled objects"),
        ("data/aotinductor/model/model.so", "nor compiled code"),
        ("serialized_state_dict.pt", "neither pickled objects"),
        ("models/other.json", "neither pickled objects"),
    ],
)
def test_pickles_and_compiled_code_are_refused(
    program: Path, tmp_path: Path, entry: str, message: str
) -> None:
    canary = tmp_path / "canary"
    rewrite(program, {entry: torch_pickled(canary)})
    detail = refusal(program)
    assert entry in detail
    assert message in detail
    assert not canary.exists()


def test_what_torch_saves_by_default_says_how_to_save_it(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(Linear().eval(), (torch.zeros(2, 4),)), str(tmp_path / "model.pt2"))
    assert "program.example_inputs = None" in refusal(tmp_path / "model.pt2")


def pickled_weights(program: dict[str, Any]) -> None:
    for payload in program["config"].values():
        payload["use_pickle"] = True


def test_tables_that_name_pickled_tensors_are_refused(program: Path) -> None:
    with zipfile.ZipFile(program) as zipped:
        config = zipped.read(f"{ROOT}/data/weights/model_weights_config.json")
    name = "data/weights/model_weights_config.json"
    rewrite(program, {name: config.replace(b'"use_pickle": false', b'"use_pickle": true')})
    assert "names pickled tensors" in refusal(program)


def with_size(code: str) -> Callable[[dict[str, Any]], None]:
    def edit(program: dict[str, Any]) -> None:
        values = program["graph_module"]["graph"]["tensor_values"]
        size = {"as_expr": {"expr_str": code, "hint": {"as_int": 2}}}
        next(iter(values.values()))["sizes"][0] = size

    return edit


def with_guard(code: str) -> Callable[[dict[str, Any]], None]:
    return lambda program: program["guards_code"].append(f"{code} or True")


def with_target(code: str) -> Callable[[dict[str, Any]], None]:
    def edit(program: dict[str, Any]) -> None:
        node = program["graph_module"]["graph"]["nodes"][0]
        node["target"] = "torch.os.system"
        node["inputs"] = [{"name": "command", "arg": {"as_string": "true"}, "kind": 1}]

    return edit


def with_name(code: str) -> Callable[[dict[str, Any]], None]:
    def edit(program: dict[str, Any]) -> None:
        program["graph_module"]["graph"]["nodes"][0]["name"] = f"x = {code}"

    return edit


def with_structure(code: str) -> Callable[[dict[str, Any]], None]:
    def edit(program: dict[str, Any]) -> None:
        signature = program["graph_module"]["module_call_graph"][0]["signature"]
        context = '[{\\"__enum__\\": true, \\"fqn\\": \\"os:system\\"}]'
        signature["in_spec"] = signature["in_spec"].replace('"context": "[]"', f'"context": "{context}"')

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (with_size, "an expression that is none of sizes"),
        (with_guard, "an expression that is none of sizes"),
        (with_target, "a function that is no ATen operator"),
        (with_name, "an unexpected text as 'name'"),
        (with_structure, "a structure of other things"),
    ],
)
def test_programs_with_code_in_them_are_refused(
    program: Path, tmp_path: Path, edit: Callable[[str], Callable[[dict[str, Any]], None]], message: str
) -> None:
    canary = tmp_path / "canary"
    edit_program(program, edit(touching(canary)))
    assert message in refusal(program)
    assert not canary.exists()


def test_torchs_own_loader_does_run_such_code(program: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    edit_program(program, with_size(touching(canary)))
    with contextlib.suppress(AttributeError):
        torch.export.load(str(program))
    assert canary.exists()


@pytest.mark.parametrize("entry", ["data.pkl", "constants.pkl"])
def test_torchs_unpickler_for_scripts_runs_no_code(script: Path, tmp_path: Path, entry: str) -> None:
    canary = tmp_path / "canary"
    rewrite(script, {entry: pickled(canary)})
    assert "torch refuses the model" in refusal(script)
    assert not canary.exists()


class ReadsFile(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.from_file("/etc/hostname", False, 1)


class WritesFile(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "/tmp/never-written")
        return x


@pytest.mark.parametrize("model", [ReadsFile, WritesFile])
def test_scripts_that_touch_files_are_refused(tmp_path: Path, model: type[nn.Module]) -> None:
    path = write_script(tmp_path / "model.pt", model())
    assert "may read or write files" in refusal(path)


def test_scripts_hold_nothing_else(script: Path) -> None:
    rewrite(script, {"code/../../etc/x.py": b""})
    assert "leads elsewhere" in refusal(script)
    rewrite_from = write_script(script, Linear())
    rewrite(rewrite_from, {"payload.so": b"\x7fELF"})
    assert "no part of a TorchScript archive" in refusal(script)


def zipped(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], comment: bytes = b"") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
        archive.comment = comment
    return path


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def as_torch_ends(path: Path) -> Path:
    """Adds the 64-bit end records that torch always writes and Python only where they are needed."""
    data = path.read_bytes()
    body, end = data[:-22], data[-22:]
    total, length, offset = struct.unpack("<HLL", end[10:20])
    wide = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, total, total, length, offset)
    path.write_bytes(body + wide + struct.pack("<4sLQL", b"PK\6\7", 0, len(body), 1) + end)
    return path


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("m/data.pkl", b""), ("m/../../evil", b"")], "leads elsewhere"),
        ([("/m/data.pkl", b"")], "leads elsewhere"),
        ([("m/data.pkl", b""), ("n/data.pkl", b"")], "outside of its folder"),
        ([("m\\..\\evil", b"")], "leads elsewhere"),
        ([("data.pkl", b"")], "outside of its folder"),
        ([(link("m/data.pkl"), b"/etc/passwd")], "symbolic link"),
        ([("m/data.pkl", b""), ("m/DATA.pkl", b"")], "twice"),
        ([("m/data.pkl", bytes(64 << 20))], "a bomb"),
        ([("m/data/0", b"")], "no TorchScript archive"),
    ],
)
def test_hostile_zips_are_refused(
    tmp_path: Path, entries: list[tuple[str | zipfile.ZipInfo, bytes]], message: str
) -> None:
    assert message in refusal(as_torch_ends(zipped(tmp_path / "model.pt", *entries)))


def test_nothing_stands_behind_or_between_the_ends(script: Path, tmp_path: Path) -> None:
    good = script.read_bytes()
    for bad in (
        good + b"\0",
        good[:-22] + b"\0" + good[-22:],
        good[:-1],
        b"",
        b"PK\5\6" + bytes(18),
        good * 2,
    ):
        script.write_bytes(bad)
        assert "model.pt" in refusal(script)
    assert "does not end as torch ends one" in refusal(zipped(script, ("m/data.pkl", b"")))


def test_a_link_out_of_the_version_is_refused(script: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.pt"
    script.rename(outside)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "model.pt").symlink_to(outside)
    assert "link that leads out" in refusal(tmp_path / "1" / "model.pt")


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s77', positive=True, integer=True)",
        "2*s0 + 1",
        "Max(1, s0//2)",
        "Mod(s0, 4)",
        "FloorDiv(s0 + 15, 16)",
        "L['args'][0][0].size()[0] >= 2",
        "Eq(s0, 2) & (s1 > 3)",
        "s0**2",
    ],
)
def test_expressions_of_sizes(text: str) -> None:
    assert harmless_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "s0.__class__",
        "(lambda: 1)()",
        "[x for x in (1,)]",
        "Max('__import__(1)')",
        "Symbol('a b')",
        "s0**s1",
        "Pow(10, 10**10)",
        "9**9**9",
        "1 << 4000000000",
        "open",
        "f'{s0}'",
        "(" * 500,
        "1" * 3000,
        "-" * 1999 + "1",
        "",
    ],
)
def test_other_expressions(text: str) -> None:
    assert not harmless_expression(text)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=12))
def test_damaged_archives_are_read_to_their_end_or_refused(
    originals: Path, tmp_path: Path, position: int, noise: bytes
) -> None:
    for name in ("model.pt", "model.pt2"):
        data = (originals / name).read_bytes()
        at = position % len(data)
        damaged = tmp_path / name
        damaged.write_bytes(data[:at] + noise + data[at + len(noise) :])
        with contextlib.suppress(SpecError):
            archive = open_archive(damaged)
            for entry in archive.names:
                archive.read(entry)
