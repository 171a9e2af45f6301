"""Where credentials for HTTP and OCI sources come from, and that they are not shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from trireme_common.remote.credentials import Credentials, docker_credentials


def test_a_user_is_basic_a_bare_password_is_a_bearer_token_and_neither_is_nothing() -> None:
    pair = base64.b64encode(b"me:pass").decode()
    assert Credentials("me", "pass").headers() == {"authorization": f"Basic {pair}"}
    assert Credentials("", "token").headers() == {"authorization": "Bearer token"}
    assert Credentials().headers() == {}
    assert "pass" not in repr(Credentials("me", "pass"))


@pytest.mark.parametrize(
    "content", ["", "[]", '{"auths": {}}', '{"auths": {"r:5000": {}}}', '{"auths": {"r:5000": {"auth": 1}}}']
)
def test_a_docker_configuration_without_an_entry_gives_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    assert not docker_credentials("r:5000", {"DOCKER_CONFIG": str(tmp_path)})
    assert not docker_credentials("r:5000", {"HOME": str(tmp_path / "none")})


def test_a_docker_configuration_gives_the_entry_of_the_registry(tmp_path: Path) -> None:
    auth = base64.b64encode(b"robot:a:b").decode()
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(json.dumps({"auths": {"r:5000": {"auth": auth}}}))
    assert docker_credentials("r:5000", {"HOME": str(tmp_path)}) == Credentials("robot", "a:b")
    assert not docker_credentials("other", {"HOME": str(tmp_path)})
