from __future__ import annotations

import grpc
import pytest

from trireme_common import grpc_status
from trireme_common.errors import Code
from trireme_gateway import errors

CALLERS_FAULT = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNIMPLEMENTED,
}


@pytest.mark.parametrize("code", Code)
def test_both_tables_cover_every_code_and_agree_whose_fault_it_is(code: Code) -> None:
    http, status = errors.STATUS[code], grpc_status.STATUS[code]
    assert 400 <= http <= 504
    assert http != 422
    if code is not Code.UNIMPLEMENTED:
        assert (http < 500) == (status in CALLERS_FAULT)
    assert (http == 503) == (status is grpc.StatusCode.UNAVAILABLE)
    if code is not Code.NOT_CACHED:  # 504 says RFC 9111 of it, though no time was up
        assert (http == 504) == (status is grpc.StatusCode.DEADLINE_EXCEEDED)
