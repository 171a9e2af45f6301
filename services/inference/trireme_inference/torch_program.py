"""The program in a torch.export archive, read before torch does.

Its loader hands text of the program to Python: sizes like `2*s0` to sympy, which evaluates them, guards to
`exec`, and the dotted names of functions to `getattr`, from where `torch.os.system` is not far. So every
text must be of a kind that is known to be harmless: a name, an expression of sizes, an ATen operator.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from trireme_common.errors import SpecError
from trireme_inference.torch_archive import Archive

_NAME = re.compile(r"[\w.+<>=\[\]-]*", re.ASCII)
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims)\.[a-z0-9_]+(\.[A-Za-z0-9_]+)?"
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast|cond)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem"
    r"|lshift|rshift)"
    r"|math\.(ceil|floor|trunc|sqrt)"
    r"|torch\.sym_(max|min|ite|int|float|not|sqrt|sum)"
)
_FILE_OPERATOR = "torch.ops.aten.from_file"
_FREE_TEXT = {"as_string", "as_strings", "stack_trace"}
# Sympy's and torch's functions of sizes.
_CALL = re.compile(
    r"Symbol|Integer|Float|Rational|Max|Min|Add|Mul|Pow|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv"
    r"|ModularIndexing|CeilToInt|FloorToInt|TruncToInt|TruncToFloat|RoundToInt|RoundDecimal|ToFloat"
    r"|IntTrueDiv|FloatTrueDiv|FloatPow|PowByNatural|LShift|RShift|Where|Identity|Eq|Ne|Lt|Le|Gt|Ge"
    r"|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan|Equality|Unequality|And|Or|Not|ceiling"
    r"|floor|Abs"
)
_WORDS = {"L", "args", "kwargs", "oo", "int_oo", "nan", "true", "false"}
_SYMBOL = re.compile(r"_?[a-z]{1,4}\d+")
_ATTRIBUTES = {"size", "stride", "storage_offset", "dim", "shape"}
_SAFE_NODES = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Constant, ast.Load, ast.operator,
    ast.unaryop, ast.boolop, ast.cmpop, ast.Subscript, ast.keyword, ast.Call, ast.Name, ast.Attribute,
)  # fmt: skip
_STRUCTURES = {"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
_CONTEXT = re.compile(r'null|\[("\w*"(, "\w*")*)?\]', re.ASCII)
# Small to write, endless to compute: what they raise to, or shift by, must be a small number.
_GROWING_CALLS = {"Pow", "PowByNatural", "FloatPow", "LShift"}
_GROWING_OPERATORS = (ast.Pow, ast.LShift)
_MOST_GROWTH = 8
_MOST_NUMBER = 1 << 63
_MAX_EXPRESSION = 2000
_MAX_NODES = 500
_MAX_DEPTH = 100


def check_texts(archive: Archive) -> None:
    """Raises SpecError for a program or a table of weights with any text that is not plainly harmless."""
    for name in ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json"):
        for payload in _map(_json(archive, name).get("config")).values():
            if _map(payload).get("use_pickle") is not False:
                raise SpecError(f"{archive.path}: '{name}' names pickled tensors, which are never loaded")
    program = _json(archive, "models/model.json")
    for key, text in _texts(program, "", 0):
        problem = _problem(key, text)
        if problem:
            raise SpecError(f"{archive.path}: the program holds {problem}: {text[:100]!r}")


def _json(archive: Archive, name: str) -> dict[str, Any]:
    try:
        return _map(json.loads(archive.read(name)))
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{archive.path}: '{name}' is not JSON") from error


def _map(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("a map is expected")
    return value


def _texts(value: Any, key: str, depth: int) -> Iterator[tuple[str, str]]:
    """Every text with the key that it stands under; the keys themselves stand under 'key'."""
    if depth > _MAX_DEPTH:
        raise SpecError("the program is nested too deeply")
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for element in value:
            yield from _texts(element, key, depth + 1)
    elif isinstance(value, dict):
        for name, element in value.items():
            yield "key", name
            yield from _texts(element, name, depth + 1)


def _problem(key: str, text: str) -> str:
    if key in _FREE_TEXT:
        return ""
    if key in ("target", "as_operator"):
        known = _OPERATOR.fullmatch(text) and not text.startswith(_FILE_OPERATOR)
        return "" if known else "a function that is no ATen operator"
    if key in ("expr_str", "guards_code"):
        return "" if harmless_expression(text) else "an expression that is none of sizes"
    if key in ("in_spec", "out_spec"):
        return _structure_problem(text)
    if key in ("nn_module_stack", "torch_fn", "source_fn_stack", "from_node", "custom", "source_fn_st"):
        return ""
    return "" if _NAME.fullmatch(text) else f"an unexpected text as '{key}'"


def _structure_problem(text: str) -> str:
    """How arguments and results nest: tuples, lists and dicts alone."""
    try:
        texts = list(_texts(json.loads(text), "", 0))
    except (ValueError, RecursionError):
        return "a structure that is not JSON"
    kinds = {value for key, value in texts if key == "type"}
    # Torch reads the context, the keys of a dict, as JSON in which a map stands for an object to import.
    contexts = [value for key, value in texts if key == "context"]
    if kinds <= _STRUCTURES and all(map(_CONTEXT.fullmatch, contexts)):
        return ""
    return "a structure of other things than tuples, lists and dicts"


def harmless_expression(text: str) -> bool:
    """True for arithmetic on sizes: numbers, symbols, sympy's and torch's functions of them."""
    if len(text) > _MAX_EXPRESSION:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return len(nodes) <= _MAX_NODES and all(map(_harmless, nodes))


def _harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, _GROWING_OPERATORS):
        return _small(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _GROWING_CALLS:
        return len(node.args) == 2 and _small(node.args[1])
    if isinstance(node, ast.Name):
        return node.id in _WORDS or bool(_CALL.fullmatch(node.id) or _SYMBOL.fullmatch(node.id))
    if isinstance(node, ast.Attribute):
        return node.attr in _ATTRIBUTES
    if isinstance(node, ast.Constant):
        return _harmless_constant(node.value)
    return isinstance(node, _SAFE_NODES)


def _small(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and 0 <= node.value <= _MOST_GROWTH


def _harmless_constant(value: object) -> bool:
    if isinstance(value, str):
        return bool(re.fullmatch(r"\w{1,64}", value, re.ASCII))
    return isinstance(value, float) or (isinstance(value, int) and value <= _MOST_NUMBER)
