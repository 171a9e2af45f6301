"""Credentials do not get into errors."""

from __future__ import annotations

import pytest

from trireme_common.remote.failure import Kind, SourceError, mask


@pytest.mark.parametrize(
    "text",
    [
        "error sending request for url (https://me:s3cret@host/x)",
        "GET https://account.blob.core.windows.net/c?sv=2021&sig=s3cret failed",
        "header authorization: Bearer s3cret-token",
        "Basic czNjcmV0OnMzY3JldA== was refused: s",
        "aws_secret_access_key=s3cret",
        "password: s3cret",
    ],
)
def test_what_may_be_a_credential_is_masked(text: str) -> None:
    masked = mask(text)
    assert "s3cret" not in masked
    assert "czNjcmV0" not in masked


def test_the_rest_is_kept_and_bounded() -> None:
    assert mask("host storage.example: timed out") == "host storage.example: timed out"
    assert len(mask("x" * 10_000)) == 500
    assert str(SourceError(Kind.DENIED, "at https://a:b@c/")) == "at https://***@c/"
