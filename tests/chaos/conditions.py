"""Finds every condition in a function, and what breaks it: none can be added without a mutant."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from tests.chaos.mutation import (
    FALSE,
    NOTHING,
    TRUE,
    Mutant,
    Place,
    functions,
    node_name,
    selector,
    summary,
    target,
)

_STEPS = {"_step", "move", "_take_step", "model_copy", "set_state"}
"""Calls that make a changed copy of a row: what they write is a part of the rule."""

_LIMITS = {"min", "max"}

_ASKED = repr("ConditionExpression")
_ALWAYS = " OR attribute_exists(pk) OR attribute_not_exists(pk)"
_NEVER = " AND attribute_exists(pk) AND attribute_not_exists(pk)"
"""What makes a condition of DynamoDB's true, or false, whatever else it asks for."""


class _Break(NamedTuple):
    place: Place
    becomes: str


def mutants_of(module_name: str) -> Iterator[Mutant]:
    """Yield the mutants of all conditions of a module, by its name below `dropscale`."""
    for where in functions(module_name):
        yield from mutants_in(where, summary(where))


def mutants_in(where: str, rule: str) -> Iterator[Mutant]:
    """Yield the mutants of all conditions of a function.

    Each condition is held for true and for false, those that DynamoDB is given, too; each handler,
    case and suppression of an error never applies; each limit does not limit; each field that a
    step writes is not written.
    """
    places = target(where).places
    for broken in _breaks(places):
        yield Mutant(rule, where, selector(broken.place, places), broken.becomes)


def _breaks(places: list[Place]) -> Iterator[_Break]:
    by_node = {id(place.node): place for place in places}
    tests = {id(test) for place in places for test in _tests(place.node)}
    seen: set[int] = set()
    for place in places:
        node = place.node
        if id(node) in tests or _is_condition(node, seen):
            for leaf in _leaves(node, seen):
                yield from (_Break(by_node[id(leaf)], becomes) for becomes in (TRUE, FALSE))
        elif isinstance(node, ast.BoolOp) and id(node) not in seen:
            for value in node.values:
                others = [ast.unparse(other) for other in node.values if other is not value]
                yield _Break(place, " or ".join(others))
        yield from _other_breaks(place, by_node)
        for asked in _asked(node):
            yield from (_Break(by_node[id(asked)], text) for text in _asked_otherwise(asked))


def _other_breaks(place: Place, by_node: dict[int, Place]) -> Iterator[_Break]:
    match place.node:
        case ast.ExceptHandler() | ast.withitem(ast.Call(ast.Name("suppress"))):
            yield _Break(place, NOTHING)
        case ast.match_case(pattern) if not isinstance(pattern, ast.MatchAs):
            yield _Break(place, NOTHING)
        case ast.Call(ast.Name(name), [_, _, *_] as limits) if name in _LIMITS:
            for limit in limits:
                others = [ast.unparse(other) for other in limits if other is not limit]
                yield _Break(place, others[0] if len(others) == 1 else f"{name}({others})")
        case ast.Call(called, arguments, keywords) if node_name(called) in _STEPS:
            for field in _fields(arguments, keywords):
                yield _Break(by_node[id(field)], NOTHING)


def _asked(node: ast.AST) -> list[ast.expr]:
    """Return the conditions of writes that DynamoDB is given here."""
    match node:
        case ast.keyword("ConditionExpression", asked):
            return [asked]
        case ast.Assign([ast.Subscript(slice=ast.Constant("ConditionExpression"))], asked):
            return [asked]
        case ast.Assign([ast.Name("condition")], asked):
            return [asked]
        case ast.Dict(keys, values):
            named = zip(keys, values, strict=True)
            return [asked for key, asked in named if ast.unparse(key or asked) == _ASKED]
    return []


def _asked_otherwise(asked: ast.expr) -> Iterator[str]:
    """Yield what else DynamoDB could be asked for: all or nothing, or all but one part of it."""
    for held in (_ALWAYS, _NEVER):
        yield f"'(' + {ast.unparse(asked)} + '){held}'"
    if isinstance(asked, ast.Constant):
        for joined, held in ((" OR ", _NEVER), (" AND ", _ALWAYS)):
            parts = str(asked.value).split(joined)
            for part in parts if len(parts) > 1 else ():
                yield repr(joined.join(f"({one}{held if one is part else ''})" for one in parts))


def _fields(arguments: list[ast.expr], keywords: list[ast.keyword]) -> Iterator[ast.AST]:
    """Yield the names of the fields that a step writes, given by keyword or in a dictionary."""
    values = [*arguments, *(word.value for word in keywords)]
    tables = [value for value in values if isinstance(value, ast.Dict)]
    yield from (key for table in tables for key in table.keys if key is not None)
    yield from (word for word in keywords if word.arg and word.value not in tables)


def _tests(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.If(test) | ast.IfExp(test) | ast.While(test) | ast.Assert(test):
            return [test]
        case ast.comprehension(ifs=tests):
            return tests
        case ast.match_case(guard=ast.expr() as test):
            return [test]
        case ast.Call(ast.Name("any" | "all"), [ast.GeneratorExp(test)]):
            return [test]
        case ast.Call(ast.Name("bool"), [test]):
            return [test]
    return []


def _is_condition(node: ast.AST, seen: set[int]) -> bool:
    """Tell whether a value, that no statement asks for, is true or false."""
    if id(node) in seen:
        return False
    match node:
        case ast.Compare() | ast.UnaryOp(ast.Not()):
            return True
        case ast.BoolOp(ast.Or(), values):
            return any(isinstance(one, ast.Compare | ast.UnaryOp) for one in values)
        case ast.BoolOp():
            return True
    return False


def _leaves(node: ast.AST, seen: set[int]) -> Iterator[ast.AST]:
    """Yield the conditions that one is made of by and, or, not."""
    if id(node) in seen:
        return
    seen.add(id(node))
    match node:
        case ast.BoolOp(_, values):
            for value in values:
                yield from _leaves(value, seen)
        case ast.UnaryOp(ast.Not(), operand):
            yield from _leaves(operand, seen)
        case ast.Constant():
            return  # `while True` is no condition
        case _:
            yield node
