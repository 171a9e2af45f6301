from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from tests.support.repositories import change, write_model
from tests.support.triton_models import write_triton_model
from trireme_common.errors import SpecError
from trireme_common.model_spec import ModelSpec
from trireme_common.repository import OVERRIDES, SpecReader, VersionFiles, content_digest, scan, sha256
from trireme_common.triton.translation import TritonModel


def only(root: Path) -> VersionFiles:
    (files,) = scan(root).versions
    return files


def test_models_and_versions_are_found_by_number(tmp_path: Path) -> None:
    write_model(tmp_path, "b", 10, 2)
    write_model(tmp_path, "a", 1)
    for name in ("01", "x", "-1", "1.5", "٣"):
        (tmp_path / "a" / name).mkdir()
    assert [(files.spec.name, files.version) for files in scan(tmp_path).versions] == [
        ("a", 1),
        ("b", 2),
        ("b", 10),
    ]


def test_what_is_no_model_is_passed_over(tmp_path: Path) -> None:
    write_model(tmp_path, "good", 1)
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "empty").mkdir()
    write_model(tmp_path, ".hidden", 1)
    write_model(tmp_path, "_draft", 1)
    found = scan(tmp_path)
    assert [files.spec.name for files in found.versions] == ["good"]
    assert not found.broken


def test_a_bare_model_file_is_served_as_tensors(tmp_path: Path) -> None:
    write_model(tmp_path, "bare", 1)
    (tmp_path / "bare" / "model.yaml").unlink()
    assert only(tmp_path).spec.task == "tensor"


def test_one_bad_model_leaves_the_others(tmp_path: Path) -> None:
    write_model(tmp_path, "good", 1)
    write_model(tmp_path, "typo", 1, spec="name: typo\nwhat: 1\n")
    write_model(tmp_path, "renamed", 1, spec="name: other\n")
    write_model(tmp_path, "hollow")
    write_model(tmp_path, "bad name", 1)
    (tmp_path / "bad name" / "model.yaml").unlink()
    found = scan(tmp_path)
    assert [files.spec.name for files in found.versions] == ["good"]
    reasons = dict(found.broken)
    assert sorted(reasons) == ["bad name", "hollow", "renamed", "typo"]
    assert "line 2: what: unknown key" in reasons["typo"]
    assert "the directory is 'renamed'" in reasons["renamed"]
    assert "no version" in reasons["hollow"]


def test_a_missing_repository_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="TRIREME_MODELS_DIR"):
        scan(tmp_path / "nowhere")


def test_the_signature_follows_every_file_of_the_version(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "m", 1)
    seen = {only(tmp_path).signature}
    assert only(tmp_path).signature in seen
    for path in (folder / "1" / "model.onnx", folder / "model.yaml", folder / "golden.json"):
        change(path, "name: m\n")
        seen.add(only(tmp_path).signature)
    (folder / "1" / "assets").mkdir()
    (folder / "1" / "assets" / "labels.json").write_text("[]")
    seen.add(only(tmp_path).signature)
    assert len(seen) == 5
    (folder / "README.md").write_text("beside the versions")
    assert only(tmp_path).signature in seen


def test_a_versions_own_golden_request_wins(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "m", 1)
    assert only(tmp_path).golden is None
    (folder / "golden.json").write_text("{}")
    assert only(tmp_path).golden == folder / "golden.json"
    (folder / "1" / "golden.json").write_text("{}")
    assert only(tmp_path).golden == folder / "1" / "golden.json"


def test_the_digest_covers_the_spec_and_the_files_a_stage_reads(tmp_path: Path) -> None:
    folder = write_model(tmp_path, "m", 1)
    (folder / "1" / "labels.json").write_text("[]")
    whole, light = (content_digest(only(tmp_path), with_model=flag) for flag in (True, False))
    assert whole != light
    change(folder / "1" / "model.onnx", "other")
    assert content_digest(only(tmp_path), with_model=True) != whole
    assert content_digest(only(tmp_path), with_model=False) == light
    change(folder / "1" / "labels.json", "[1]")
    assert content_digest(only(tmp_path), with_model=False) != light
    shutil.copytree(folder, tmp_path / "elsewhere" / "m")
    assert content_digest(only(tmp_path / "elsewhere"), with_model=True) == content_digest(
        scan(tmp_path).versions[0], with_model=True
    )


def pinned(root: Path, **pins: str) -> VersionFiles:
    lines = "".join(f"  {name}: '{digest}'\n" for name, digest in pins.items())
    write_model(root, "m", 1, 2, spec=f"name: m\ndigests:\n{lines}")
    (root / "m" / "golden.json").write_text("{}")
    return scan(root).versions[0]


def test_pinned_files_are_verified(tmp_path: Path) -> None:
    right = hashlib.sha256(b"w").hexdigest()
    golden = hashlib.sha256(b"{}").hexdigest()
    good = pinned(tmp_path, **{"1/model.onnx": right, "2/model.onnx": "0" * 64, "golden.json": golden})
    content_digest(good, with_model=True)
    assert sha256(tmp_path / "m" / "1" / "model.onnx") == right


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1/model.onnx", "but model.yaml pins"),
        ("1/gone.bin", "pinned by model.yaml, but missing"),
        ("model.onnx", "pinned by model.yaml, but missing"),
        ("golden.json", "is not the one that model.yaml pins"),
    ],
)
def test_a_pin_that_does_not_hold_is_refused(tmp_path: Path, name: str, expected: str) -> None:
    with pytest.raises(SpecError, match=expected):
        content_digest(pinned(tmp_path, **{name: "0" * 64}), with_model=True)


def test_weights_are_not_read_by_stages_that_do_not_need_them(tmp_path: Path) -> None:
    content_digest(pinned(tmp_path, **{"1/model.onnx": "0" * 64}), with_model=False)


def test_a_spec_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    write_model(tmp_path, "m", 1)
    reader = SpecReader()
    first = scan(tmp_path, reader).versions[0].spec
    assert scan(tmp_path, reader).versions[0].spec is first
    path = tmp_path / "m" / "model.yaml"
    change(path, path.read_text() + "warmup: false\n")
    second = scan(tmp_path, reader).versions[0].spec
    assert (first.warmup, second.warmup) == (True, False)
    change(path, "name: [")
    assert scan(tmp_path, reader).broken


def test_a_config_pbtxt_is_a_model(tmp_path: Path) -> None:
    write_triton_model(tmp_path, "m", "max_batch_size: 3 novelty: 1", {1: b"w", 2: b"w"})
    first, second = scan(tmp_path).versions
    assert (first.version, second.version) == (1, 2)
    assert first.spec.batching.max_batch_size == 3
    assert first.spec_file == "config.pbtxt"
    assert "novelty" in first.notes[0]


def test_model_yaml_wins_over_config_pbtxt_and_says_so(tmp_path: Path) -> None:
    folder = write_triton_model(tmp_path, "m", "syntax error", {1: b"w"})
    (folder / "model.yaml").write_text("name: m\nbatching: {max_batch_size: 7}\n")
    files = only(tmp_path)
    assert (files.spec.batching.max_batch_size, files.triton, files.spec_file) == (7, None, "model.yaml")
    assert files.notes == ("config.pbtxt is not read: model.yaml stands beside it",)


def test_bad_configurations_leave_their_neighbours(tmp_path: Path) -> None:
    write_triton_model(tmp_path, "good", "", {1: b"w"})
    write_triton_model(tmp_path, "renamed", 'name: "other"', {1: b"w"})
    write_triton_model(tmp_path, "typo", "name: \n", {1: b"w"})
    write_triton_model(tmp_path, "plan", 'platform: "tensorrt_plan"', {1: b"w"}, model_file="model.plan")
    write_triton_model(tmp_path, "hollow", 'backend: "onnxruntime"', {})
    write_triton_model(tmp_path, "torch", None, {1: b"w"}, model_file="model.pt")
    found = scan(tmp_path)
    assert [files.spec.name for files in found.versions] == ["good"]
    reasons = dict(found.broken)
    assert sorted(reasons) == ["hollow", "plan", "renamed", "torch", "typo"]
    assert "the directory is 'renamed'" in reasons["renamed"]
    assert "config.pbtxt, line 2" in reasons["typo"]
    assert "take the ONNX file" in reasons["plan"]
    assert "no version" in reasons["hollow"]
    assert "model.pt does not say what it takes and gives" in reasons["torch"]


@pytest.mark.parametrize("kind", ["model.yaml", "config.pbtxt"])
def test_versions_that_are_named_and_not_there(tmp_path: Path, kind: str) -> None:
    def policy(*versions: int) -> VersionFiles | str:
        if kind == "model.yaml":
            spec = f"name: m\nversions: {{policy: specific, list: {list(versions)}}}\n"
            write_model(tmp_path, "m", 1, 2, spec=spec)
        else:
            text = f"version_policy {{ specific {{ versions: {list(versions)} }} }}"
            write_triton_model(tmp_path, "m", text, {1: b"", 2: b""})
        found = scan(tmp_path)
        shutil.rmtree(tmp_path / "m")
        return found.versions[0] if found.versions else found.broken[0][1]

    there, some, none = policy(1, 2), policy(2, 9), policy(8, 9)
    assert isinstance(there, VersionFiles)
    assert there.notes == ()
    assert isinstance(some, VersionFiles)
    assert some.notes == ("version policy 'specific' names 9, which are not there",)
    assert none == f"{tmp_path / 'm'}: version policy 'specific' names 8, 9; there are only 1, 2"


def test_signature_and_digest_follow_config_and_labels(tmp_path: Path) -> None:
    config = 'output { name: "y" label_filename: "labels.txt" }'
    folder = write_triton_model(tmp_path, "m", config, {1: b"w"}, labels_txt="a\nb\n")

    def state() -> tuple[str, str]:
        files = only(tmp_path)
        return files.signature, content_digest(files, with_model=False)

    seen = [state()]
    change(folder / "labels.txt", "a\nc\n")
    seen.append(state())
    change(folder / "config.pbtxt", config + ' parameters { key: "k" value { } }')
    seen.append(state())
    assert len({signature for signature, _ in seen}) == len({digest for _, digest in seen}) == 3


@pytest.mark.parametrize("kind", ["config.pbtxt", "model.yaml"])
def test_a_model_that_is_replaced_while_it_is_read_is_read_again(tmp_path: Path, kind: str) -> None:
    """The old spec with the signature of the new files would never be looked at again."""
    folder, fresh = tmp_path / "m", tmp_path / "elsewhere"
    if kind == "config.pbtxt":
        write_triton_model(tmp_path, "m", "max_batch_size: 4", {1: b"w"})
        write_triton_model(fresh, "m", "max_batch_size: 2", {1: b"v"})
    else:
        write_model(tmp_path, "m", 1, spec="name: m\nbatching: {max_batch_size: 4}\n")
        write_model(fresh, "m", 1, spec="name: m\nbatching: {max_batch_size: 2}\n")

    class Interrupted(SpecReader):
        """Whose model is replaced behind its back, once it is read."""

        def read(self, path: Path) -> ModelSpec:
            found = super().read(path)
            self._replace()
            return found

        def read_triton(self, path: Path, files: tuple[str, ...]) -> TritonModel:
            found = super().read_triton(path, files)
            self._replace()
            return found

        def _replace(self) -> None:
            if fresh.exists():
                shutil.rmtree(folder)
                (fresh / "m").rename(folder)
                fresh.rmdir()

    reader = Interrupted()
    (torn,), (whole,) = scan(tmp_path, reader).versions, scan(tmp_path, reader).versions
    assert (torn.spec.batching.max_batch_size, whole.spec.batching.max_batch_size) == (4, 2)
    assert torn.signature != whole.signature


def test_a_model_file_of_another_name_counts_as_weights(tmp_path: Path) -> None:
    config = 'backend: "onnxruntime" default_model_filename: "net.onnx"'
    folder = write_triton_model(tmp_path, "m", config, {1: b"w"}, model_file="net.onnx")
    whole, light = (content_digest(only(tmp_path), with_model=flag) for flag in (True, False))
    change(folder / "1" / "net.onnx", "other")
    assert content_digest(only(tmp_path), with_model=True) != whole
    assert content_digest(only(tmp_path), with_model=False) == light


def test_what_a_request_brought_along_is_read_in_place_of_the_model(tmp_path: Path) -> None:
    write_triton_model(tmp_path, "own", "max_batch_size: 8", {1: b"w"})
    write_model(tmp_path, "described", 1)
    sent = tmp_path / OVERRIDES
    before = {files.spec.name: files for files in scan(tmp_path).versions}
    write_triton_model(sent, "own", "max_batch_size: 4", {})
    write_triton_model(sent, "described", "max_batch_size: 2", {})
    write_triton_model(sent, "new", "max_batch_size: 3", {2: b"v"})
    write_triton_model(sent, ".aside", "max_batch_size: 1", {2: b"v"})
    found = {files.spec.name: files for files in scan(tmp_path).versions}
    assert {name: files.spec.batching.max_batch_size for name, files in found.items()} == {
        "own": 4,
        "described": 2,
        "new": 3,
    }
    assert found["own"].directory == tmp_path / "own" / "1"
    assert found["new"].directory == sent / "new" / "2"
    assert all(files.signature != before[name].signature for name, files in found.items() if name in before)
    digests = {content_digest(files, with_model=True) for files in (found["own"], before["own"])}
    assert len(digests) == 2
    change(sent / "own" / "config.pbtxt", "max_batch_size: 5")
    again = {files.spec.name: files for files in scan(tmp_path).versions}
    assert again["own"].signature != found["own"].signature


def test_files_that_a_request_brought_along_replace_all_versions(tmp_path: Path) -> None:
    write_triton_model(tmp_path, "m", "max_batch_size: 8", {1: b"w", 3: b"w"})
    write_triton_model(tmp_path / OVERRIDES, "m", "max_batch_size: 4", {2: b"v"})
    assert [(files.version, files.spec.batching.max_batch_size) for files in scan(tmp_path).versions] == [
        (2, 4)
    ]
    shutil.rmtree(tmp_path / OVERRIDES / "m")
    assert [files.version for files in scan(tmp_path).versions] == [1, 3]
