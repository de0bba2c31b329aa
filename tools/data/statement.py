"""Which SQL a model may run: one SELECT over the named tables that reads no clock, chance or catalog."""

import json
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import NoReturn, Self, TypeAlias, cast

import duckdb

from openoutcry.core.errors import SqlRefused

MAX_CHARACTERS = 10_000
MAX_DEPTH = 250

Node: TypeAlias = dict[str, object]
Scope: TypeAlias = frozenset[str]

_KINDS = frozenset(
    {
        *("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"),
        *("BASE_TABLE", "SUBQUERY", "JOIN", "EMPTY", "EXPRESSION_LIST", "TABLE_FUNCTION"),
        *("DISTINCT_MODIFIER", "LIMIT_MODIFIER", "ORDER_MODIFIER"),
        *("ASCENDING", "DESCENDING", "ORDER_DEFAULT"),
    }
)
_EXPRESSIONS = frozenset(
    {
        *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT"),
        *("FUNCTION", "LAMBDA", "OPERATOR", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW"),
    }
)
_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
# What DuckDB answers to a bare word that is no column: the clock, or who and where the session is.
_WORDS = frozenset(
    {
        *("current_catalog", "current_date", "current_role", "current_schema", "current_time"),
        *("current_timestamp", "current_user", "localtime", "localtimestamp", "session_user", "user"),
    }
)
# Marked CONSISTENT by DuckDB 2.0, or a macro over nothing, and still not a function of its arguments
# alone; then those that plan or bind other SQL, draw a sample, or trust bytes given as internal state.
_FUNCTIONS = _WORDS | frozenset(
    {
        *("current_localtime", "current_localtimestamp", "version"),
        *("json_serialize_sql", "json_serialize_plan", "json_deserialize_sql", "make_type"),
        *("reservoir_quantile", "parse_duckdb_log_message"),
        *("combine", "combine_aggr", "finalize", "to_aggregate_state", "create_sort_key", "index_key"),
    }
)
# These take an aggregate's name as text.
_BY_NAME = frozenset({"aggregate", "array_aggr", "array_aggregate", "list_aggr", "list_aggregate"})


def check(sql: str, tables: Collection[str]) -> None:
    """Raise SqlRefused unless *sql* is one SELECT over *tables* that always gives the same rows."""
    with Gate() as gate:
        gate.check(sql, tables)


class Gate:
    """Checks statements by their parse tree, refusing every construct it does not know.

    It asks an empty DuckDB of its own for the trees and for what functions there are, so nothing of a
    snapshot is opened to judge a statement.
    """

    def __init__(self) -> None:
        self._parser = duckdb.connect(config={"autoload_known_extensions": False, "threads": 1})
        self._parser.execute(f"SET max_expression_depth = {MAX_DEPTH}")
        self._functions = self._lasting_functions()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parser.close()

    def check(self, sql: str, tables: Collection[str]) -> None:
        """Raise SqlRefused, in one line, unless *sql* may run over *tables*."""
        if len(sql) > MAX_CHARACTERS:
            _refuse(f"at most {MAX_CHARACTERS:,} characters", f"{len(sql):,}", "ask for less at once")
        if any(character < " " and character not in "\t\n\r" for character in sql):
            _refuse("text", "a control character", "leave it out")
        self._one_select(sql)
        self._walk(self._tree(sql), frozenset(name.lower() for name in tables))

    def _one_select(self, sql: str) -> None:
        try:
            kinds = [statement.type for statement in self._parser.extract_statements(sql)]
        except duckdb.Error as error:
            _refuse("SQL", told(error), "correct the statement")
        except (TypeError, UnicodeError):
            _refuse("SQL as text", "characters that are no Unicode text", "leave them out")
        if kinds != [duckdb.StatementType.SELECT]:
            came = " and ".join(kind.name for kind in kinds[:3]) or "nothing"
            _refuse("one SELECT", came, "write a single SELECT")

    def _tree(self, sql: str) -> object:
        row = self._parser.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
        try:
            answer = cast(Node, json.loads(row[0] if row else "{}"))
        except RecursionError:
            _refuse(f"at most {MAX_DEPTH} levels of nesting", "more", "nest less")
        if answer.get("error") is not False:
            _refuse("a plain SELECT", str(answer.get("error_message")), "write a single SELECT")
        return answer["statements"]

    def _walk(self, tree: object, tables: Scope) -> None:
        """Judge every node below *tree*; each carries the common table expressions it can see."""
        todo: list[tuple[object, Scope]] = [(tree, frozenset())]
        while todo:
            item, ctes = todo.pop()
            if isinstance(item, list):
                todo.extend((child, ctes) for child in cast(list[object], item))
            elif isinstance(item, dict):
                node = cast(Node, item)
                self._judge(node, tables, ctes)
                todo.extend(_children(node, tables, ctes))

    def _judge(self, node: Node, tables: Scope, ctes: Scope) -> None:
        kind = node.get("class", node.get("type"))
        if "class" in node:
            if kind not in _EXPRESSIONS:
                _refuse("a query of constants, columns and functions", str(kind), "leave it out")
            self._judge_expression(node, str(kind))
        elif "type" in node and kind not in _KINDS:
            _refuse("SELECT from tables, joins and subqueries", str(kind), "write it as a plain SELECT")
        if kind == "BASE_TABLE":
            _judge_table(node, tables, ctes)
        if kind == "TABLE_FUNCTION":
            _judge_table_function(node)
        if node.get("sample") is not None or node.get("at_clause") is not None:
            _refuse("whole tables", "a sample or a past version of one", "filter or order instead")

    def _judge_expression(self, node: Node, kind: str) -> None:
        if kind in ("FUNCTION", "WINDOW"):
            self._judge_function(node, _plain_name(node))
        if kind == "TYPE":
            _plain_name(node)
        names = cast(list[str], node.get("column_names", []))
        if kind == "COLUMN_REF" and len(names) == 1 and names[0].lower() in _WORDS:
            _refuse_function(names[0])

    def _judge_function(self, node: Node, name: str) -> None:
        arguments = cast(list[Node], node.get("arguments", []))
        if (not self._knows(name) and name != "unnest") or node.get("export_state"):
            _refuse_function(name)
        if name == "age" and len(arguments) != 2:
            _refuse("age of two instants", "age to the wall clock", "name the later instant as well")
        if name in _BY_NAME:
            self._judge_aggregate_name(arguments)
        for body in self._functions.get(name, ()):
            self._walk(self._tree(f"SELECT {body}"), frozenset())

    def _judge_aggregate_name(self, arguments: list[Node]) -> None:
        named = cast(Node, arguments[1]["expression"]) if len(arguments) > 1 else {}
        text = cast(Node, named.get("literal") or {}).get("text")
        if not isinstance(text, str) or not self._knows(text.lower()):
            _refuse("an aggregate's name as plain text", str(text), "name one, such as 'sum'")

    def _knows(self, name: str) -> bool:
        return name in self._functions and name not in _FUNCTIONS

    def _lasting_functions(self) -> dict[str, tuple[str, ...]]:
        """Return the functions DuckDB calls consistent in every overload, and its own scalar macros.

        A macro comes with its definitions, which are judged when it is called; a function with none.
        """
        rows = self._parser.execute(
            "SELECT lower(function_name), list(macro_definition) FILTER (macro_definition IS NOT NULL)"
            " FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'window', 'macro')"
            " AND NOT starts_with(function_name, '__') GROUP BY 1 HAVING bool_and(schema_name = 'main')"
            " AND (bool_and(function_type = 'macro') OR bool_and(coalesce(stability, '') = 'CONSISTENT'))"
        ).fetchall()
        return {cast(str, name): tuple(cast(list[str], bodies or [])) for name, bodies in rows}


def ungrounded(sql: str, tables: Collection[str]) -> str:
    """Why a checked statement's answer would not come from the data, or nothing where it does.

    Each column must read at least one column, or count rows, and a table must be read at all: so that no
    constant of the model's own comes back as a figure with a query behind it.
    """
    with duckdb.connect(config={"threads": 1}) as parser:
        row = parser.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    (statement,) = cast(list[Node], json.loads(row[0] if row else "{}")["statements"])
    nodes = list(_nodes(statement))
    if not any(n.get("type") == "BASE_TABLE" and str(n["table_name"]).lower() in tables for n in nodes):
        return "it reads no table"
    for select in (n for n in nodes if n.get("type") == "SELECT_NODE"):
        for column in cast(list[Node], select["select_list"]):
            if not any(_reads(n) for n in _nodes(column)):
                return "one of its columns is a constant"
    return ""


def _nodes(tree: object) -> Iterator[Node]:
    """Yield every node of a parse tree."""
    if isinstance(tree, list):
        for item in cast(list[object], tree):
            yield from _nodes(item)
    elif isinstance(tree, dict):
        node = cast(Node, tree)
        yield node
        yield from _nodes(list(node.values()))


def _reads(node: Node) -> bool:
    counts = node.get("function_name") in ("count_star", "row_number", "rank", "dense_rank")
    return node.get("class") in ("COLUMN_REF", "STAR", "SUBQUERY") or counts


def _children(node: Node, tables: Scope, ctes: Scope) -> Iterator[tuple[object, Scope]]:
    """Yield each part of *node* with the common table expressions visible in it.

    A name is visible after its own definition, and inside it only in the recursive half; elsewhere the
    same name would be looked up in the catalog.
    """
    entries = cast(dict[str, list[Node]], node.get("cte_map") or {}).get("map", [])
    for entry in entries:
        name = str(entry["key"]).lower()
        if name in tables:
            _refuse("a new name for a WITH query", f"the table name {name}", "call it something else")
        yield entry["value"], ctes
        ctes = ctes | {name}
    for key, value in node.items():
        if key == "right" and node.get("type") == "RECURSIVE_CTE_NODE":
            yield value, ctes | {str(node["cte_name"]).lower()}
        elif key != "cte_map":
            yield value, ctes


def _judge_table(node: Node, tables: Scope, ctes: Scope) -> None:
    name = _plain_name(node)
    if name not in tables and name not in ctes:
        _refuse(f"a table of: {', '.join(sorted(tables))}", name, "read from one of these")


def _judge_table_function(node: Node) -> None:
    name = _plain_name(cast(Node, node["function"]))
    if name not in _TABLE_FUNCTIONS:
        _refuse("a table, unnest, range or generate_series", f"{name}()", "read from a table")


def _plain_name(node: Node) -> str:
    """Return the one, unqualified name of a table, function or type."""
    path = cast(list[str], cast(Node, node.get("qualified_name") or {}).get("path") or [])
    qualified = any(node.get(key) for key in ("schema", "schema_name", "catalog", "catalog_name"))
    if len(path) != 1 or qualified:
        _refuse("a name without schema or catalog", ".".join(path) or "none", "leave the qualifier out")
    return path[0].lower()


def _refuse_function(name: str) -> NoReturn:
    _refuse("functions of the data alone", name, "leave out what reads clock, chance, settings or catalog")


def _refuse(expected: str, came: str, do: str) -> NoReturn:
    raise SqlRefused(f"Expected {expected}; came {' '.join(came.split())[:200]}: {do}.")


def told(error: Exception) -> str:
    """Return what a DuckDB error says, in one line without its kind, the place and the advice."""
    said = " ".join(str(error).split("\n\n")[0].split())
    return said.split(": ", 1)[-1].split(". Use ")[0].rstrip(".:!")[:200]
