"""Finds in a source what would make two runs of the core differ.

It reads the syntax only, so it sees the obvious; the import contracts see what comes in through others.
"""

import ast
from collections.abc import Iterator

MODULES_FORBIDDEN = frozenset({"asyncio", "logging", "os", "random", "secrets", "threading", "time", "uuid"})
"""A clock, chance, waiting, or the machine: none of them is on the record."""

CALLS_FORBIDDEN = frozenset({"float", "hash", "id", "input", "open", "print"})
"""Money and time are integers; hashes of strings and addresses of objects differ from process to process."""

NOW_METHODS = frozenset({"now", "today", "utcnow"})
DATE_CLASSES = frozenset({"date", "datetime"})
SET_CLASSES = frozenset({"frozenset", "set"})
ORDERED_CLASSES = frozenset({"enumerate", "iter", "list", "tuple"})


def impurities(source: str) -> list[str]:
    """Each impurity of a module's source as `line: what`, in the order of the lines."""
    found = [item for node in ast.walk(ast.parse(source)) for item in _impurities_of(node)]
    return [f"{line}: {what}" for line, what in sorted(found)]


def _impurities_of(node: ast.AST) -> Iterator[tuple[int, str]]:
    match node:
        case ast.Import(names=names):
            for alias in names:
                if alias.name.partition(".")[0] in MODULES_FORBIDDEN:
                    yield node.lineno, f"import {alias.name}"
        case ast.ImportFrom(module=str(module), level=0):
            if module.partition(".")[0] in MODULES_FORBIDDEN:
                yield node.lineno, f"from {module} import"
        case ast.Call(func=ast.Name(id=name)) if name in CALLS_FORBIDDEN:
            yield node.lineno, f"{name}()"
        case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in ORDERED_CLASSES and _is_set(first):
            yield node.lineno, f"{name}() of a set"
        case ast.Call(func=ast.Attribute(attr=method, value=of)) if method in NOW_METHODS and _is_date(of):
            yield node.lineno, f"{ast.unparse(of)}.{method}()"
        case ast.For(iter=iterated) | ast.AsyncFor(iter=iterated) if _is_set(iterated):
            yield node.lineno, "iteration over a set"
        case ast.ListComp() | ast.DictComp() | ast.GeneratorExp():
            for generator in node.generators:
                if _is_set(generator.iter):
                    yield node.lineno, "iteration over a set"
        case ast.AsyncFunctionDef(name=name):
            yield node.lineno, f"async def {name}"
        case _:
            pass


def _is_set(node: ast.expr) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id=name)):
            return name in SET_CLASSES
        case _:
            return False


def _is_date(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in DATE_CLASSES
        case _:
            return False
