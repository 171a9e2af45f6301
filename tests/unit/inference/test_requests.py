from __future__ import annotations

import pytest

from tests.support.inference_fakes import Inbox, make_request
from trireme_common.errors import Code, TriremeError
from trireme_inference.requests import Answer, Ran

LOST = TriremeError(Code.INTERNAL, "lost")


def answer(seconds: float, error: TriremeError | None = None) -> Answer:
    return Answer(make_request(Inbox(), [[1, 2, 3, 4]]), error=error, compute_seconds=seconds)


@pytest.mark.parametrize(
    ("answers", "as_one"),
    [
        ([], False),
        ([answer(0.5)], True),
        ([answer(0.5), answer(0.5, LOST), answer(0.5)], True),
        ([answer(0.5), answer(0.25)], False),
        ([answer(0.0, LOST), answer(0.0, LOST)], False),
    ],
)
def test_a_batch_ran_as_one_where_its_answers_come_from_one_run(answers: list[Answer], as_one: bool) -> None:
    assert Ran(answers).as_one is as_one
