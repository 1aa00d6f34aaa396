"""The side of the tests: runs them where the answer's code never runs, with stand-ins for the answer's functions.

A stand-in looks up what the answer gave when it was asked before. What it was not asked yet is told to the harness,
which asks and runs the tests again. Asserts compare plain values here, so nothing of the answer's can say yes to them.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from collections import defaultdict, deque
from typing import Any

from engine.sandbox.guest.plain import MARKER, Sink, as_json, decode, encode, show

_NEVER_RAISED = ("StopIteration", "StopAsyncIteration")
_LONGEST = 200


class NotAsked(BaseException):
    """The answer has not been asked that yet."""


class AnswerError(Exception):
    """The answer raised something that is no exception of Python's own."""


class Book:
    """What the answer was asked and gave, in order, and what these tests ask."""

    def __init__(self, ops: list[Any], replies: list[Any]) -> None:
        """`ops` and `replies` belong together; both come from outside."""
        self.trace: list[Any] = []
        self.missing = False
        self.last: list[Any] | None = None
        self.names: dict[str, Any] = {}
        self.sources: dict[int, list[str]] = {}
        self.kept: list[Any] = []
        self._replies: dict[str, deque[Any]] = defaultdict(deque)
        for op, reply in zip(ops, replies, strict=False):
            self._replies[repr(op)].append(reply)

    def ask(self, kind: str, target: Any, *rest: Any, changed: tuple[Any, ...] = ()) -> Any:
        """What the answer gave; raises what it raised."""
        op = [kind, target, *rest]
        self.trace.append(op)
        known = self._replies[repr(op)]
        if not known:
            self.missing = True
            raise NotAsked
        self.last = known.popleft()
        state, first, second = self.last
        if state == "raised":
            type_ = getattr(builtins, str(first), None)
            fits = isinstance(type_, type) and issubclass(type_, Exception) and first not in _NEVER_RAISED
            try:
                error = type_(str(second)) if fits else AnswerError(f"{first}: {second}")  # type: ignore[misc]
            except TypeError:  # it takes other arguments
                error = AnswerError(f"{first}: {second}")
            raise error
        try:
            result = decode(first, self._find)
            after = [decode(part, self._find) for part in second]
        except Exception as error:
            raise AnswerError(f"it gave what can't be read: {error}") from error
        for mine, new in zip(changed, after, strict=True):
            _renew(mine, new)
        return result

    def say_last(self) -> str:
        """What the answer did last, for a person."""
        if self.last is None:
            return ""
        state, first, second = self.last
        return f"raised {first}: {second}" if state == "raised" else f"gave {show(decode(first, self._find))}"

    def encode(self, value: Any) -> Any:
        """An argument of the tests, as the answer's side can read it."""
        return encode(value, self._name)

    def _find(self, data: Any) -> Any:
        kind, name, *_ = data
        if kind != "held":
            raise ValueError(f"{kind!r} is no kind of value")
        return Proxy(self, ["held", name])

    def _name(self, value: Any) -> Any:
        if isinstance(value, Proxy):
            return object.__getattribute__(value, "_target")
        if id(value) in self.sources:
            return self.sources[id(value)]
        module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
        known = isinstance(module, str) and isinstance(name, str) and module in sys.stdlib_module_names
        if known and getattr(importlib.import_module(str(module)), str(name), None) is value:
            return ["of", module, name]
        mine = next((name for name, known in self.names.items() if known is value), None)
        if mine is not None:
            return ["name", mine]
        raise TypeError(f"the tests hand over a value of the type {type(value).__name__}, which is no plain data")


class Proxy:
    """Stands for an object of the answer's. It equals nothing but itself: the answer can't decide on that."""

    def __init__(self, book: Book, target: Any) -> None:
        """`target` is what the answer's side knows it by."""
        object.__setattr__(self, "_book", book)
        object.__setattr__(self, "_target", target)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call it there; arguments that are changed there are changed here."""
        book: Book = object.__getattribute__(self, "_book")
        changed = tuple(value for value in args if isinstance(value, (list, dict, set, bytearray)))
        parts = [book.encode(value) for value in args]
        pairs = [[name, book.encode(value)] for name, value in named.items()]
        return book.ask("call", object.__getattribute__(self, "_target"), parts, pairs, changed=changed)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _ask(self, "get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        _ask(self, "set", name, value)

    def __getitem__(self, key: Any) -> Any:
        return _ask(self, "item", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        _ask(self, "put", key, value)

    def __len__(self) -> int:
        return int(_ask(self, "len"))

    def __iter__(self) -> Any:
        return iter(_ask(self, "list"))

    def __str__(self) -> str:
        return str(_ask(self, "str"))

    def __repr__(self) -> str:
        return str(_ask(self, "repr"))

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        own = object.__getattribute__
        return isinstance(other, Proxy) and bool(own(self, "_target") == own(other, "_target"))

    def __hash__(self) -> int:
        return hash(str(object.__getattribute__(self, "_target")))


def _ask(proxy: Proxy, kind: str, *rest: Any) -> Any:
    book: Book = object.__getattribute__(proxy, "_book")
    return book.ask(kind, object.__getattribute__(proxy, "_target"), *map(book.encode, rest))


def _renew(mine: Any, new: Any) -> None:
    if type(mine) is not type(new):
        raise AnswerError("it gave an argument back as something else")
    if isinstance(mine, (list, bytearray)):
        mine[:] = new
    else:
        mine.clear()
        mine.update(new)


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def find_subjects(tree: ast.Module, setup: ast.Module) -> set[str]:
    """The names that the tests use and nobody but the answer can define.

    A name of Python's own is one of them only where the tests use no other, and call it first in every assert: an
    answer that defines `set` must not decide on `assert set(f(1)) == {1}`.
    """
    bound = _bound_names(tree) | _bound_names(setup)
    nodes = [*ast.walk(tree), *ast.walk(setup)]
    used = {node.id for node in nodes if isinstance(node, ast.Name)} - bound - find_modules(tree, setup)
    free = {name for name in used if not hasattr(builtins, name)}
    if free:
        return free
    asserts = [node.test for node in tree.body if isinstance(node, ast.Assert)]
    first = {call.func.id for test in asserts if (call := _first_call(test)) and isinstance(call.func, ast.Name)}
    return (first - bound) if len(first) == 1 else set()


def find_modules(tree: ast.Module, setup: ast.Module) -> set[str]:
    """The standard library's modules that the tests use without importing them, as `math.isclose(...)`."""
    bases = (node.value for part in (tree, setup) for node in ast.walk(part) if isinstance(node, ast.Attribute))
    names = {base.id for base in bases if isinstance(base, ast.Name)} & sys.stdlib_module_names
    return names - _bound_names(tree) - _bound_names(setup)


def _first_call(test: ast.expr) -> ast.Call | None:
    left = test.left if isinstance(test, ast.Compare) else test
    return left if isinstance(left, ast.Call) else None


def _bound_names(tree: ast.AST) -> set[str]:
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return bound


class GoOn(ast.NodeTransformer):
    """Lets an assert or a bare call whose answer is not there yet be passed over, so that one look finds many.

    Functions that tests write are known by their source, so that they can be handed to the answer.
    """

    def visit_Assert(self, node: ast.Assert) -> Any:
        """An assert."""
        return self._pass_over(node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        """A bare call."""
        return self._pass_over(node)

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        """A lambda: its source is told."""
        source = ast.Constant(ast.unparse(node))
        args: list[Any] = [self.generic_visit(node), source]
        return ast.Call(ast.Name("__lambda__", ast.Load()), args, [])

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        """A function: likewise."""
        source = [ast.Constant(part) for part in (ast.unparse(node), node.name)]
        args: list[Any] = [ast.Name(node.name, ast.Load()), *source]
        return [self.generic_visit(node), ast.Expr(ast.Call(ast.Name("__lambda__", ast.Load()), args, []))]

    def _pass_over(self, node: Any) -> Any:
        handler = ast.ExceptHandler(ast.Name("__NotAsked__", ast.Load()), None, [ast.Pass()])
        body: list[Any] = [self.generic_visit(node)]
        return ast.Try(body, [handler], [], [])


def run_judge(payload: dict[str, Any]) -> None:
    """Run the tests, work out the wanted expressions, and report under the nonce."""
    out = sys.stdout
    sys.stdout = sys.stderr = Sink(payload["output"])
    book = Book(payload["ops"], payload["replies"])
    failure, outputs = None, []
    try:
        namespace, tests = _prepare(payload, book)
        failure = next((said for text in tests if (said := _run(text, namespace, book)) is not None), None)
        outputs = [_work_out(text, namespace, book) for text in payload["calls"]]
    except SyntaxError as error:
        failure = ["error", f"the tests can't be read: {error}"]
    report = {"trace": book.trace, "missing": book.missing, "failure": failure, "outputs": outputs}
    out.write(MARKER + as_json({"nonce": payload["nonce"], **report}))
    out.flush()


def _prepare(payload: dict[str, Any], book: Book) -> tuple[dict[str, Any], list[ast.stmt]]:
    tree, setup = ast.parse("\n".join(payload["tests"])), ast.parse(payload["setup"])
    calls = ast.parse("\n".join(payload["calls"]))
    together = ast.Module([*tree.body, *calls.body], [])
    namespace: dict[str, Any] = {"__name__": "tests"}
    for name in find_modules(together, setup):
        namespace[name] = importlib.import_module(name)
    if "random" in sys.modules:
        sys.modules["random"].seed(0)
    for name in payload["names"] or find_subjects(together, setup):
        namespace[name] = Proxy(book, ["name", name])
    namespace["__NotAsked__"] = NotAsked
    namespace["__lambda__"] = lambda made, *source: _tell(book, made, source)
    before = set(namespace)
    for statement in setup.body:
        _run(statement, namespace, book)
    book.names = {name: value for name, value in namespace.items() if name not in before}
    return namespace, [ast.fix_missing_locations(statement) for statement in tree.body]


def _tell(book: Book, made: Any, source: tuple[str, ...]) -> Any:
    book.sources[id(made)] = ["source" if len(source) == 1 else "def", *source]
    book.kept.append(made)
    return made


def _run(statement: ast.stmt, namespace: dict[str, Any], book: Book) -> list[str] | None:
    """What a statement says against the answer: [status, message]; None if nothing."""
    shown = _shorten(ast.unparse(statement))
    book.last = None
    module = ast.fix_missing_locations(GoOn().visit(ast.Module([statement], [])))
    try:
        exec(compile(module, "<tests>", "exec"), namespace)
    except NotAsked:
        return None
    except AssertionError:
        return ["failed", _shorten(f"{shown}: the answer {book.say_last()}") if book.last else shown]
    except BaseException as error:
        return ["error", f"{shown}: {type(error).__name__}: {_shorten(str(error))}"]
    return None


def _work_out(text: str, namespace: dict[str, Any], book: Book) -> str:
    try:
        return show(eval(compile(text, "<calls>", "eval"), namespace))
    except NotAsked:
        return ""
    except BaseException as error:
        return f"raises {type(error).__name__}"
