"""Breaks one rule of the running code at a time: a node of a function, or a constant, is changed.

Nodes are named by function and syntax, never by line or text: `Compare(state)[1]` is the second
comparison in a function whose left side ends in the name `state`; without a number there is only
one. `Call(settle).0` is the first argument of the call of `settle`. A name that is not there, or
not the only one, is an error: no mutant is lost in silence.
"""

import ast
import functools
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

_SHIPPED = Path(__file__).parents[2] / "shared" / "dropscale"

_NAMING = (
    *("test", "func", "left", "operand", "target", "targets", "values", "elts", "elt", "items"),
    *("context_expr", "pattern", "cls", "exc", "type", "body", "value"),
)
"""The parts of a node that name it, the first that it has."""

TRUE, FALSE, NOTHING, BEFORE = "true", "false", "nothing", "moved before "
"""What a node can become, beside any Python text: `nothing` takes it out, `moved before` and the
name of another statement moves it there."""


_Function = ast.FunctionDef | ast.AsyncFunctionDef


class MutantLost(Exception):
    """A mutant names something that the code has not exactly once; rename it."""


@dataclass(frozen=True)
class Mutant:
    """One rule break: in the function `where` (its name below `dropscale`), `node` is changed.

    Of a constant, `node` is a path into it ("READY.SUBMITTED"), or empty; then `becomes` is the
    text of another value, in which `it` is the right one.
    """

    rule: str
    where: str
    node: str
    becomes: str

    def __str__(self) -> str:
        return f"{self.where}: {self.node or 'it'} -> {self.becomes}"


@dataclass(frozen=True)
class Place:
    """A node, and where in its parent it stands."""

    node: ast.AST
    parent: ast.AST
    field: str
    index: int | None

    @functools.cached_property
    def name(self) -> str:
        """What distinguishes it from others of its function, but for a number."""
        return f"{type(self.node).__name__}({node_name(self.node)})"


@dataclass(frozen=True)
class Target:
    """What `where` names: a function, with its syntax, or a constant of a module."""

    module: ModuleType
    path: tuple[str, ...]
    """Its qualified name in the module."""

    @property
    def value(self) -> Any:
        """The object itself; of a method, property, … the function in it."""
        found: Any = self.module
        for name in self.path:
            found = vars(found)[name]
        return _function_in(found)

    @property
    def places(self) -> list[Place]:
        """The nodes of the function, in their order; who changes them takes a copy."""
        return _places_of(self.module, self.path)


def target(where: str) -> Target:
    """Return what a qualified name below `dropscale` names.

    Raises:
        MutantLost: there is no such thing.
    """
    parts = where.split(".")
    for length in range(len(parts), 0, -1):
        if _SHIPPED.joinpath(*parts[:length]).with_suffix(".py").exists():
            module = importlib.import_module(".".join(["dropscale", *parts[:length]]))
            found = Target(module, tuple(parts[length:]))
            try:
                _ = found.value
            except KeyError:
                break
            return found
    raise MutantLost(f"{where} is no function and no constant of dropscale")


def functions(module_name: str) -> Iterator[str]:
    """Yield the qualified names, below `dropscale`, of all functions of a module but protocols'."""
    module = importlib.import_module(f"dropscale.{module_name}")

    def walk(body: list[ast.stmt], path: tuple[str, ...]) -> Iterator[str]:
        for node in body:
            if isinstance(node, _Function):
                yield ".".join([module_name, *path, node.name])
            elif isinstance(node, ast.ClassDef) and "Protocol" not in map(ast.unparse, node.bases):
                yield from walk(node.body, (*path, node.name))

    yield from walk(_tree(module).body, ())


def summary(where: str) -> str:
    """Return the first sentence of a function's docstring, or of its class's."""
    found = target(where)
    owner = vars(found.module).get(found.path[0])
    text = inspect.getdoc(found.value) or inspect.getdoc(owner) or ""
    return " ".join(text.partition("\n\n")[0].split())


def node_name(node: ast.AST) -> str:
    """Return the name that distinguishes a node from others of its kind."""
    match node:
        case ast.Name(name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
            return name
        case ast.Constant(value):
            return str(value)
    part = next((p for name in _NAMING if (p := getattr(node, name, None)) is not None), None)
    part = part[0] if isinstance(part, list) and part else part
    return node_name(part) if isinstance(part, ast.AST) else ""


def selector(place: Place, places: list[Place]) -> str:
    """Return the name of a node among all those of its function."""
    alike = [other.node for other in places if other.name == place.name]
    if len(alike) == 1:
        return place.name
    return f"{place.name}[{next(n for n, node in enumerate(alike) if node is place.node)}]"


def shown(mutant: Mutant) -> str:
    """Return the text of what a mutant changes.

    Raises:
        MutantLost: the code does not have it.
    """
    found = target(mutant.where)
    if not isinstance(found.value, FunctionType):
        return mutant.node or found.path[-1]
    return _text(_found(mutant.node, found.places).node)


@contextmanager
def applied(mutant: Mutant) -> Iterator[None]:
    """Break the rule while the context lasts.

    Raises:
        MutantLost: the code does not have what it names.
    """
    found = target(mutant.where)
    if isinstance(found.value, FunctionType):
        function, right = found.value, found.value.__code__
        function.__code__ = _broken_code(mutant, found)
        try:
            yield
        finally:
            function.__code__ = right
        return
    right, name = found.value, found.path[-1]
    users = [module for module in _loaded() if vars(module).get(name) is right]
    broken = _broken_value(mutant, found)
    for module in users:
        setattr(module, name, broken)
    try:
        yield
    finally:
        for module in users:
            setattr(module, name, right)


def users_of(mutant: Mutant) -> frozenset[tuple[str, str]]:
    """Return the functions, by file and qualified name, that do what a mutant changes."""
    found = target(mutant.where)
    if isinstance(found.value, FunctionType):
        return frozenset(map(code_name, _codes(found.value.__code__)))
    name = found.path[-1]
    using = [module for module in _loaded() if vars(module).get(name) is found.value]
    codes = [code for module in using for code in _codes(_compiled(module))]
    return frozenset(code_name(code) for code in codes if name in code.co_names)


def code_name(code: CodeType) -> tuple[str, str]:
    """Return the file and name that identify a function's code."""
    return code.co_filename, code.co_qualname


def _text(node: ast.AST) -> str:
    match node:
        case ast.match_case(pattern):
            return f"case {ast.unparse(pattern)}"
        case ast.ExceptHandler(ast.AST() as kind):
            return f"except {ast.unparse(kind)}"
        case ast.If(test) | ast.While(test):
            return f"if {ast.unparse(test)}: …"
        case ast.keyword(name, value):
            return f"{name}={ast.unparse(value)}"
    return " ".join(ast.unparse(node).split())


def _found(name: str, places: list[Place]) -> Place:
    if (argument := re.fullmatch(r"(.*)\.(\d)", name)) is not None:
        call, index = _found(argument[1], places).node, int(argument[2])
        return next(p for p in places if (p.parent, p.field, p.index) == (call, "args", index))
    base, _, number = name.partition("[")
    alike = [place for place in places if place.name == base]
    if not alike or (not number and len(alike) > 1):
        texts = "; ".join(f"[{n}] {_text(place.node)}" for n, place in enumerate(alike))
        raise MutantLost(f"{name}: {len(alike)} of them: {texts}")
    try:
        return alike[int(number.rstrip("]") or 0)]
    except IndexError:
        raise MutantLost(f"{name}: there are {len(alike)}") from None


def _places(root: ast.AST) -> Iterator[Place]:
    for field, value in ast.iter_fields(root):
        if isinstance(value, ast.AST):
            yield Place(value, root, field, None)
            yield from _places(value)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield Place(item, root, field, index)
                    yield from _places(item)


@functools.cache
def _source(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text()


@functools.cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(_source(module))


@functools.cache
def _compiled(module: ModuleType) -> CodeType:
    return compile(_source(module), str(module.__file__), "exec")


@functools.cache
def _places_of(module: ModuleType, path: tuple[str, ...]) -> list[Place]:
    return list(_places(_syntax(module, path)))


def _syntax(module: ModuleType, path: tuple[str, ...]) -> _Function:
    """Return the syntax of a function, a copy of its own."""
    body = _tree(module).body
    for name in path[:-1]:
        body = next(n.body for n in body if isinstance(n, ast.ClassDef) and n.name == name)
    function = next(n for n in body if isinstance(n, _Function) and n.name == path[-1])
    copied = ast.parse(ast.unparse(function)).body[0]
    assert isinstance(copied, _Function)
    return copied


def _broken_code(mutant: Mutant, found: Target) -> CodeType:
    function = _syntax(found.module, found.path)
    places = list(_places(function))
    _change(_found(mutant.node, places), mutant.becomes, places)
    body: ast.stmt = function
    for name in reversed(found.path[:-1]):
        body = ast.ClassDef(name, bases=[], keywords=[], body=[body], decorator_list=[])
    function.decorator_list = []
    tree = ast.Module([*ast.parse("from __future__ import annotations").body, body], [])
    filename = str(found.module.__file__)
    code = compile(ast.fix_missing_locations(tree), filename, "exec", dont_inherit=True)
    return next(one for one in _codes(code) if one.co_qualname == ".".join(found.path))


def _change(place: Place, becomes: str, places: list[Place]) -> None:
    if becomes == NOTHING:
        _take_out(place)
    elif becomes.startswith(BEFORE):
        later = _found(becomes.removeprefix(BEFORE), places)
        _take_out(place)
        _put(later, [place.node, later.node])
    elif isinstance(place.node, ast.stmt):
        _put(place, ast.parse(becomes).body)
    else:
        text = {TRUE: "True", FALSE: "False"}.get(becomes, becomes)
        _put(place, ast.parse(text, mode="eval").body)


def _take_out(place: Place) -> None:
    node, parent = place.node, place.parent
    if isinstance(node, ast.stmt):
        _put(place, ast.Pass())
    elif isinstance(node, ast.ExceptHandler):
        node.type = ast.Tuple([], ast.Load())
    elif isinstance(node, ast.match_case):
        node.guard = ast.Constant(value=False)
    elif isinstance(node, ast.withitem):
        node.context_expr = ast.parse("suppress()", mode="eval").body
    elif isinstance(parent, ast.Dict):
        assert place.index is not None
        del parent.keys[place.index], parent.values[place.index]
    else:
        del getattr(parent, place.field)[place.index]


def _put(place: Place, new: Any) -> None:
    if place.index is None:
        setattr(place.parent, place.field, new)
    else:
        several = new if isinstance(new, list) else [new]
        getattr(place.parent, place.field)[place.index : place.index + 1] = several


def _broken_value(mutant: Mutant, found: Target) -> Any:
    if mutant.node:
        return _without(found.value, mutant.node.split("."))
    return eval(mutant.becomes, {**vars(found.module), "it": found.value})


def _without(value: Any, path: list[str]) -> Any:
    """Return a table or a set without one of its entries, each called by its name."""
    here = {getattr(key, "name", getattr(key, "__name__", str(key))): key for key in value}
    try:
        key = here[path[0]]
    except KeyError:
        raise MutantLost(f"there is no {'.'.join(path)}") from None
    if not isinstance(value, Mapping):
        return type(value)(one for one in value if one is not key)
    inner = {key: _without(value[key], path[1:])} if len(path) > 1 else {}
    return {**{k: v for k, v in value.items() if k is not key}, **inner}


def _function_in(found: Any) -> Any:
    """Return the function that a property, class method, validator or decorated one is about."""
    for name in ("wrapped", "fget", "__func__", "__wrapped__"):
        if not isinstance(found, FunctionType | type) and hasattr(found, name):
            return _function_in(getattr(found, name))
    wrapped: Callable[..., Any] | None = getattr(found, "__wrapped__", None)
    return wrapped if isinstance(found, FunctionType) and wrapped else found


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _loaded() -> list[ModuleType]:
    return [m for name, m in list(sys.modules.items()) if name.partition(".")[0] == "dropscale"]
