"""An arithmetic expression that a model wrote, worked out without running any of it."""

import ast
import math
import operator
import re
from collections.abc import Callable

LONGEST, DEEPEST, STEEPEST = 400, 40, 64.0
"""Characters of an expression, operations within one another, and the size of an exponent, at most."""
_TWO: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left / right,
}
_ONE: dict[type[ast.unaryop], Callable[[float], float]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_WRITTEN = re.compile(r"[0-9eE.,%+\-*/() ]*")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_PERCENT = re.compile(r"(\d+\.?\d*|\.\d+)\s*%")


def worked_out(expression: str) -> float:
    """The value of numbers joined by + - * / ** and parentheses; 5% is 0.05, and 1,234 one number.

    Raises ValueError, in one line, for whatever else is written, and for a value that is no finite number.
    """
    expression = expression.strip()
    if len(expression) > LONGEST:
        raise ValueError(f"expected an expression of at most {LONGEST} characters, got {len(expression)}")
    if not _WRITTEN.fullmatch(expression):
        raise ValueError(f"expected numbers and + - * / ** ( ) % alone, got {_short(expression)}")
    grouped = _GROUPED.sub(lambda found: found[0].replace(",", ""), expression)
    try:
        tree = ast.parse(_PERCENT.sub(r"(\1/100)", grouped), mode="eval")
        value = _value(tree.body, 0)
    except (SyntaxError, ArithmeticError, MemoryError, RecursionError) as error:
        raise ValueError(f"expected arithmetic over numbers, got {_short(expression)}: {_said(error)}") from None
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value} from {_short(expression)}")
    return value


def _value(node: ast.expr, depth: int) -> float:
    if depth > DEEPEST:
        raise ValueError(f"expected at most {DEEPEST} operations within one another")
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # pyright: ignore[reportArgumentType] the line above allows int and float alone
    if isinstance(node, ast.UnaryOp) and type(node.op) in _ONE:
        return _ONE[type(node.op)](_value(node.operand, depth + 1))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, depth + 1), _value(node.right, depth + 1)
        if type(node.op) in _TWO:
            return _TWO[type(node.op)](left, right)
        if isinstance(node.op, ast.Pow):
            return _power(left, right)
    raise ValueError(f"expected numbers and + - * / ** alone, got {_short(ast.unparse(node))}")


def _power(base: float, exponent: float) -> float:
    if abs(exponent) > STEEPEST:
        raise ValueError(f"expected an exponent of at most {STEEPEST:g}, got {exponent:g}")
    if base < 0 and not exponent.is_integer():
        raise ValueError(f"expected a whole exponent over a negative number, got {base:g} ** {exponent:g}")
    return float(base**exponent)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")


def _said(error: BaseException) -> str:
    return str(error.args[0] if error.args else type(error).__name__).split("\n", 1)[0]
