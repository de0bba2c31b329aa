"""Numeric tools in a model's hands: it chooses parameters, and may only point at what was measured."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic_ai import ModelRetry
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from openoutcry.agents.team import ROLES
from openoutcry.agents.toolbox import as_tool
from openoutcry.agents.workbench import Live, Workbench
from openoutcry.core.report import Finding, Kind
from openoutcry.desk import Desk
from openoutcry.interfaces.explain import explain
from openoutcry.tools import catalogue
from openoutcry.tools.arguments import measured, model_of

MakeDesk = Callable[..., Desk]
RISK = "How risky is AAPL over the next 10 days?"


def in_turn(*steps: list[tuple[str, dict[str, Any]]], claims: list[str], told: list[str]) -> FunctionModel:
    """A model that makes these calls, a list a turn, and then says *claims*; what is sent back goes to *told*."""
    left = list(steps)

    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        told.extend(
            p.content for p in messages[-1].parts if isinstance(p, ToolReturnPart) and isinstance(p.content, str)
        )
        if left:
            return ModelResponse(
                [ToolCallPart(n, a, tool_call_id=f"c{len(left)}{i}") for i, (n, a) in enumerate(left.pop(0))]
            )
        return ModelResponse([ToolCallPart(info.output_tools[0].name, {"claims": claims, "lean": "none"})])

    return FunctionModel(respond, model_name="in turn")


def test_every_tool_can_be_put_in_a_models_hands() -> None:
    for tools in catalogue.by_topic().values():
        for name, function in tools.items():
            schema = as_tool(function).tool_def.parameters_json_schema
            for argument in measured(function):
                assert '"number"' not in str(schema["properties"][argument]).replace("'", '"'), (name, argument)


def test_a_role_has_what_bears_on_the_question() -> None:
    for role in ROLES.values():
        for kind in Kind:
            names = [t.__name__ for t in role.tools_for(kind)]
            assert len(names) == len(set(names)) <= 20, (role.name, kind, names)


async def test_a_figure_of_earlier_evidence_is_put_in_and_traced(make_desk: MakeDesk) -> None:
    told: list[str] = []
    first = [("position", {"ticker": "AAPL"}), ("volatility", {"ticker": "AAPL"})]
    price = {"kind": "put", "strike": 120, "time": 0.25, "spot": "{E1.close}", "volatility": "E2.volatility"}
    model = in_turn(
        first, [("option", {**price, "rate": "E1.gross_share"})], claims=["It costs {E3.price}."], told=told
    )
    desk = make_desk({"risk": model})
    report = await desk.ask(RISK, "2022-06-30")
    made = report.by_id["E3"]
    assert told == []
    assert made.tool == "option"
    assert made.arguments["spot"] == report.by_id["E1"].value("close")
    assert made.sources == {"spot": "E1.close", "volatility": "E2.volatility", "rate": "E1.gross_share"}
    finding = report.findings[0]
    assert isinstance(finding, Finding)
    assert finding.claims == ("It costs {E3.price}.",)
    lines = list(explain(desk.load(report.run), "E3.price", desk))
    assert "put in      spot = E1.close" in lines
    assert (await desk.replay(report.run)).same_as(report)


@pytest.mark.parametrize(
    ("spot", "message"),
    [
        (135.9, "the arguments do not fit: spot: Input should be a valid string"),
        ("E1.ticker", "E1.ticker is no figure of your evidence that is a number"),
        ("E9.close", "E9.close is no figure of your evidence that is a number"),
        ("135.9", "the arguments do not fit: spot: String should match pattern"),
    ],
)
async def test_a_number_of_its_own_is_sent_back(make_desk: MakeDesk, spot: object, message: str) -> None:
    told: list[str] = []
    good = {"kind": "put", "strike": 120, "time": 0.25, "volatility": "E1.gross_share", "rate": "E1.gross_share"}
    steps = [[("position", {"ticker": "AAPL"})], [("option", {**good, "spot": spot})]]
    model = in_turn(*steps, claims=["The book holds {E1.shares}."], told=told)
    report = await make_desk({"risk": model}).ask(RISK, "2022-06-30")
    assert any(message in t for t in told), told
    assert "E2" not in report.by_id


async def test_lists_and_mappings_of_references(desk: Desk) -> None:
    """Each is put in by its place or its name, and one that is not there is sent back."""
    report = await desk.ask(RISK, "2022-06-30")
    bench = Workbench("risk", desk.warehouse().view(), 10, Live(), None, dict(report.by_id))  # type: ignore[arg-type]  # no reader
    ctx: Any = SimpleNamespace(deps=bench)
    var: Any = as_tool(catalogue.named("normal_value_at_risk")).function
    with pytest.raises(
        ModelRetry, match="the figures do not fit: correlation: Input should be less than or equal to 1"
    ):
        await var(ctx, values=["E5.value", "{E5.value}"], volatilities=["E2.recent"] * 2, correlation="E2.ratio")
    seen = await var(ctx, values=["E5.value"], volatilities=["E2.recent"])
    made = bench.evidence[seen["id"]]
    assert made.arguments["values"] == [report.by_id["E5"].value("value")]
    assert made.sources == {"values": '["E5.value"]', "volatilities": '["E2.recent"]'}
    score: Any = as_tool(catalogue.named("altman_z")).function
    seen = await score(
        ctx, ratios={"x1": "E2.ratio", "x2": "E2.ratio", "x3": "E2.ratio", "x4": "E2.ratio", "x5": "E2.ratio"}
    )
    assert bench.evidence[seen["id"]].value("x3") == report.by_id["E2"].value("ratio")
    with pytest.raises(ModelRetry, match=r"E77\.close is no figure of your evidence"):
        await var(ctx, values=["E77.close"], volatilities=["E2.recent"])
    with pytest.raises(ModelRetry, match="the arguments do not fit: confidence"):
        await var(ctx, values=["E5.value"], volatilities=["E2.recent"], confidence=2)


async def test_a_model_cannot_lower_a_floor(desk: Desk) -> None:
    """A person may take a VaR of few returns, as a textbook does; a model is not even shown how."""
    shown = as_tool(catalogue.named("value_at_risk")).tool_def.parameters_json_schema["properties"]
    assert "minimum" not in shown
    assert "minimum" in model_of(catalogue.named("value_at_risk")).model_fields
    bench = Workbench("risk", desk.warehouse().view(), 10, Live(), None)  # type: ignore[arg-type]  # no reader
    ctx: Any = SimpleNamespace(deps=bench)
    var: Any = as_tool(catalogue.named("value_at_risk")).function
    with pytest.raises(ModelRetry, match="minimum: Extra inputs are not permitted"):
        await var(ctx, ticker="AAPL", window=20, minimum=2)
    seen = await var(ctx, ticker="AAPL", window=20, horizon=1)
    assert seen["not_computed"].startswith("needs at least 100 overlapping")
