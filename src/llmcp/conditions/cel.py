"""CEL as the condition language: the only importer of the CEL library.

Rules:
1. A condition compiles in an environment that declares every variable as a dotted name with its type, and its policy's `params`.
2. Before it runs, `params.x` is replaced by its value: a program reads variables of the request and nothing else.
3. `eval` gives error values instead of raising, and raises for an exhausted budget: both are a failure with a reason. Only
   `True` is a match.
4. A reason never repeats a value of the request.
5. Several conditions become one gate: their disjunction. An error inside it opens the gate, it never closes it.
   Which conditions hold behind an open one is a second expression; an error inside it leaves them to be asked alone.
6. A condition over what varies names the parts of it that can make it false cheaply; they change no outcome.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel  # type: ignore[import-untyped]
from cel_expr_python.ext import ext_optional  # type: ignore[import-untyped]

from llmcp.conditions.ast import Tree, read_tree
from llmcp.conditions.conjuncts import conjuncts, needle, sieve
from llmcp.conditions.lint import constant_parts, lint, reads_of
from llmcp.conditions.messages import explain
from llmcp.conditions.params import declare, substitute
from llmcp.conditions.variables import ALL_LABELS, LABEL_MEMOS, VARIABLES
from llmcp.ports import ConditionProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from llmcp.core.decide import RequestView, ResponseView
    from llmcp.core.policy import ParamValue
    from llmcp.ports import Condition

MAX_LENGTH = 8192
_BITS = 62


class CelCondition:
    """One compiled condition."""

    __slots__ = ("_program", "guards", "needles", "reads", "source")

    def __init__(self, source: str, program: cel.Expression, reads: frozenset[str]) -> None:
        self.source = source
        self.reads = reads
        self.guards: tuple[CelCondition, ...] = ()
        self.needles: tuple[str, ...] = ()
        self._program = program

    def test(self, bound: Any) -> bool | str:  # noqa: ANN401 - an activation of the library, opaque to callers
        """Return whether the condition holds, or why it failed to run."""
        try:
            value = self._program.eval(bound).value()
        except RuntimeError as fault:
            return _reason(str(fault))
        if value is True or value is False:
            return value
        return _reason(value)


class CelGate:
    """The disjunction of several conditions; where it holds, a sum of bits tells which of them do."""

    __slots__ = ("_bits", "_env", "_program", "_sources")

    def __init__(self, env: cel.Env, sources: Sequence[str]) -> None:
        self._env = env
        self._sources = sources
        self._program = env.compile(" || ".join(f"({source}\n)" for source in sources))
        self._bits: cel.Expression | None = None

    def closed(self, bound: Any) -> bool:  # noqa: ANN401 - an activation of the library, opaque to callers
        """Tell that every condition is false."""
        try:
            return self._program.eval(bound).value() is False
        except RuntimeError:
            return False

    def which(self, bound: Any) -> int | None:  # noqa: ANN401 - an activation of the library, opaque to callers
        """Return one bit for each condition that holds, or None where one failed to run and all must be asked alone."""
        if len(self._sources) > _BITS:
            return None
        try:
            # Compiled when first wanted: many gates never open.
            if self._bits is None:
                self._bits = self._env.compile(_sum([f"(({s}\n) ? {1 << bit} : 0)" for bit, s in enumerate(self._sources)]))
            bits = self._bits.eval(bound).value()
        except RuntimeError:
            return None
        return bits if type(bits) is int else None


def _sum(terms: list[str]) -> str:
    """Add up as a balanced tree: a chain would nest as deep as it is long."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({_sum(terms[:half])} + {_sum(terms[half:])})"


_REASONS = (
    ("divide by zero", "division by zero"),
    ("modulus by zero", "division by zero"),
    ("Key not found", "a map has no such key"),
    ("Index error", "a list has no such index"),
    ("Iteration budget", "too many iterations"),
    ("overflow", "a number is out of range"),
    ("out of range", "a number is out of range"),
    ("conversion", "a value cannot be converted"),
    ("regular expression", "a regular expression is not valid"),
    ("No value with name", "a variable is not bound"),
)


def _reason(library: object) -> str:
    text = str(library)
    return next((reason for sign, reason in _REASONS if sign in text), "it could not be evaluated")


@lru_cache(maxsize=1024)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def _in_cidr(client: bytes, network: str) -> bool:
    """Tell whether the client's address lies in `network`; no address lies nowhere. Checked constants only: the cache is bounded."""
    try:
        address = ipaddress.ip_address(bytes(client).decode())
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address) in _network(network)


_TYPES = {
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
    "timestamp": cel.Type.TIMESTAMP,
    "list(bool)": cel.Type.List(cel.Type.BOOL),
    "list(int)": cel.Type.List(cel.Type.INT),
    "list(double)": cel.Type.List(cel.Type.DOUBLE),
    "list(string)": cel.Type.List(cel.Type.STRING),
    "map(string, string)": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
}


def _environment(params: Mapping[str, ParamValue]) -> cel.Env:
    names = {name: _TYPES[variable.type] for name, variable in VARIABLES.items() if name != ALL_LABELS}
    names["client"] = cel.Type.BYTES
    names.update({f"params.{name}": _TYPES[declare(value)] for name, value in params.items()})
    overload = cel.Overload("client_in_cidr", cel.Type.BOOL, [cel.Type.BYTES, cel.Type.STRING], True, _in_cidr)  # noqa: FBT003 - the library's order
    return cel.NewEnv(
        variables=names,
        extensions=[ext_optional.ExtOptional()],
        functions=[cel.FunctionDecl("in_cidr", [overload])],
    )


class CelCompiler:
    """Compiles conditions. Holds one environment without parameters; it is built once per process or test."""

    def __init__(self) -> None:
        self._env = _environment({})

    def compile(
        self,
        source: str,
        params: Mapping[str, ParamValue],
        *,
        own_labels: bool = True,
    ) -> CelCondition | tuple[ConditionProblem, ...]:
        """Compile `source`, or say everything that is wrong with it. Without `own_labels` the client's labels count too."""
        if len(source) > MAX_LENGTH:
            return (ConditionProblem("P212", 0, f"the condition has {len(source)} characters; at most {MAX_LENGTH} are read"),)
        if "\0" in source:
            return (ConditionProblem("P201", source.index("\0"), "not CEL: a NUL character stands here"),)
        env = _environment(params) if params else self._env
        try:
            checked = env.compile(source)
        except (RuntimeError, UnicodeError) as fault:
            return explain(source, str(fault), params)
        tree = read_tree(checked.serialize())
        problems = lint(source, tree, params, returns=checked.return_type().name())
        plain, more = substitute(source, tree, params)
        if problems or more:
            return (*problems, *more)
        try:
            program = self._env.compile(plain)
        except RuntimeError:
            return (ConditionProblem("P212", 0, "the condition is nested too deep once its parameters are filled in"),)
        failing = self._failing_constants(tree, params)
        if failing:
            return failing
        condition = CelCondition(plain, program, _with_labels(reads_of(tree), own_labels=own_labels))
        if self.memo_key(condition.reads) is None:
            self._find_guards(condition, read_tree(program.serialize()), own_labels=own_labels)
        return condition

    def _find_guards(self, condition: CelCondition, tree: Tree, *, own_labels: bool) -> None:
        parts = tuple(conjuncts(tree.root))
        condition.needles = tuple(text for part in parts if (text := needle(part)))
        guards = []
        for part in parts:
            reads = _with_labels(reads_of(Tree(part, b"")), own_labels=own_labels)
            if self.memo_key(reads) is not None:
                guards.append(CelCondition("", self._env.deserialize(tree.alone(part)), reads))
        condition.guards = tuple(guards)

    def _failing_constants(self, tree: Tree, params: Mapping[str, ParamValue]) -> tuple[ConditionProblem, ...]:
        env = _environment(params) if params else self._env
        known = {f"params.{name}": list(value) if isinstance(value, tuple) else value for name, value in params.items()}
        for node in constant_parts(tree, frozenset(known)):
            try:
                value = env.deserialize(tree.alone(node)).eval(env.Activation(known))
                failed = value.type() == cel.Type.ERROR
                why = _reason(value.value()) if failed else ""
            except RuntimeError as fault:
                failed, why = True, _reason(str(fault))
            if failed:
                return (ConditionProblem("P208", node.offset, f"this constant part always fails: {why}"),)
        return ()

    def gate(self, conditions: Sequence[Condition]) -> CelGate | None:
        """Join conditions by `||`. None where the library refuses the whole (nesting) or there is nothing to gain."""
        if len(conditions) <= 1:
            return None
        try:
            return CelGate(self._env, [condition.source for condition in conditions])
        except RuntimeError:
            return None

    def sieve(self, conditions: Sequence[tuple[int, Condition]]) -> Callable[[RequestView], list[tuple[int, Condition]]]:
        """Look for literals without the library."""
        return sieve(conditions)

    def binder(self, reads: frozenset[str]) -> Callable[[RequestView, ResponseView | None], object]:
        """Return what binds exactly `reads`. `client` is what `client.in_cidr` looks at: the address as bytes."""
        activation = self._env.Activation
        asked = [(_bound_name(name), VARIABLES[name].read) for name in sorted(reads) if not VARIABLES[name].response]
        answered = [(name, VARIABLES[name].read) for name in sorted(reads) if VARIABLES[name].response]
        address = "client.ip" in reads

        def bind(view: RequestView, response: ResponseView | None) -> object:
            values: dict[str, Any] = {name: read(view) for name, read in asked}
            if answered:
                values.update({name: read(response) for name, read in answered})
            if address:
                values["client"] = view.client.ip.encode("utf-8", "replace")
            return activation(values)

        return bind

    def memo_key(self, reads: frozenset[str]) -> Callable[[RequestView], Hashable] | None:
        """Return what makes a key of `reads`, or None where one of them changes with every request."""
        if any(not VARIABLES[name].memo for name in reads):
            return None
        paths = {VARIABLES[name].memo for name in reads}
        if ALL_LABELS in reads:
            paths.add("subject.labels")
        return _key_of(tuple(sorted(paths)))


def _key_of(paths: tuple[str, ...]) -> Callable[[RequestView], Hashable]:
    if not paths:
        return lambda _view: None
    plain = tuple(path for path in paths if path not in LABEL_MEMOS)
    labels = tuple(attrgetter(path) for path in paths if path in LABEL_MEMOS)
    get: Callable[[RequestView], Hashable] = attrgetter(*plain) if plain else lambda _view: None
    if not labels:
        return get
    return lambda view: (get(view), *[frozenset(found.items()) if (found := label(view)) else None for label in labels])


def _with_labels(reads: frozenset[str], *, own_labels: bool) -> frozenset[str]:
    if own_labels or "request.labels" not in reads:
        return reads
    return reads - {"request.labels"} | {ALL_LABELS}


def _bound_name(name: str) -> str:
    return "request.labels" if name == ALL_LABELS else name
