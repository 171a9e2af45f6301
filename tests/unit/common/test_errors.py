from __future__ import annotations

from trireme_common.errors import Code, ItemError, MachineError, SettingsError, SpecError, TriremeError


def test_every_error_has_a_code_and_a_detail() -> None:
    errors = [ItemError(Code.BLANK_TEXT, "d"), SpecError("d"), SettingsError("d")]
    assert all(isinstance(error, TriremeError) for error in errors)
    assert [error.code for error in errors] == [Code.BLANK_TEXT, Code.INVALID_ARGUMENT, Code.INVALID_ARGUMENT]
    assert {(error.detail, str(error)) for error in errors} == {("d", "d")}


def test_what_a_machine_could_not_do_may_be_asked_of_another() -> None:
    assert MachineError("d").code is Code.MODEL_NOT_READY


def test_codes_are_stable_words() -> None:
    assert all(code.value == code.name.lower() for code in Code)
