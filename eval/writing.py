"""Help with writing scenarios: a commented example to begin from, and a JSON Schema for editors."""

from string import Template
from typing import Any

from pydantic.json_schema import models_json_schema

from openoutcry.eval.faults import tools as catalogued
from openoutcry.eval.scenario import Made, Scenario, Seat
from openoutcry.eval.templates import Templates
from openoutcry.eval.worlds.case import made, situations

SCHEMA = "outcry-scenario.schema.json"
"""The name under which an example looks for the schema, beside it."""
MEANT = {
    "id": "its name, unlike any other of the suite",
    "category": "what it is counted with in a report",
    "cluster": "what it shares its luck with: the issuer, or the document; empty: nothing",
    "seat": "who is asked: a role by itself, the coordinator, the whole desk, or a model alone",
    "as_of": "what was known then: a date, or a moment in New York; empty: the newest data",
    "fixture": "the data that it stands on: exactly one of sample, files and made",
    "turns": "the questions of a conversation, each with what is expected of its answer",
    "question": "the one question, where there are no turns",
    "expect": "what must be true of the answer; all of it must hold",
    "bare": 'the request to a model alone, with seat = "model"',
    "cast": "roles that the scenario scripts, and how they behave",
    "sample": "the bundled sample data",
    "files": "files of data, beside the scenario",
    "made": "companies made up by a situation, whose figures are known",
    "situation": "a situation of made-up companies",
    "template": "one way of asking about each company of the situation",
    "figures": "figures that the answer must give",
    "tools": "tools that must be called, and such as must not",
    "required": "tools that must be called",
    "forbidden": "tools that must not be called",
    "value": "what it must be; a number goes with a tolerance",
    "low": "at least this",
    "high": "at most this",
    "unit": "its unit",
    "budget": "the most that the answer may cost",
    "seconds": "seconds of the turn",
    "seed": "another seed, other numbers",
    "ticker": "its ticker",
    "name": "its name",
    "dev": "of the open set",
    "gate": "of the set that a candidate is looked at with once",
    "sealed": "of the set that is looked at once a quarter",
    "about": "what the file is about, for a person",
    "batch": "companies that share a data folder",
    "instructions": "what the model is told first",
    "prompt": "what it is asked",
    "with": "what the situation lets one choose",
    "arguments": "for each argument, the values that are right",
}
"""What a key means, where the format does not say it itself."""
CASES = {
    Seat.RISK: """
[[scenario]]
id = "var-by-construction"
category = "value at risk"                # a report counts cases by category
cluster = "KALO"                          # cases on one issuer, or one document, share their luck
seat = "risk"                             # who is asked: one role, "coordinator", "desk", or "model"
as_of = $as_of                        # nothing that became known later can be seen
question = "How risky is KALO over the next 1 day at 99% confidence?"

# The data: made-up prices whose distribution is known. Or: sample = true; or: files = ["prices.csv"]
[scenario.fixture]
made = [{ situation = "steady", seed = 1, ticker = "KALO", name = "Kalo", with = { deviation = 0.02 } }]

[scenario.expect]
# The answer must cite this figure. It is found by unit and value, not by its words. $$var_1d is what is true of the
# data by construction, here $var; `outcry eval situations steady` names all such truths. A number will do as well.
figures = [{ name = "var", unit = "fraction", value = "$$var_1d", tolerance = 1e-4 }]
tools = { required = ["value_at_risk"] }
not_contains = ["guarantee", "risk[- ]free"]   # regular expressions
budget = { calls = 40, seconds = 60 }
""",
    Seat.ANALYST: """
[[scenario]]
id = "valuation-answers"
category = "valuation"                    # a report counts cases by category
cluster = "AAPL"                          # cases on one issuer, or one document, share their luck
seat = "analyst"                          # who is asked: one role, "coordinator", "desk", or "model"
as_of = 2022-06-30                        # nothing that became known later can be seen
question = "Is AAPL cheap or expensive?"
fixture = { sample = true }               # or made = [...], or files = ["prices.csv", "fundamentals.csv"]

[scenario.expect]
abstain = false                           # true: it must say honestly that it cannot tell
not_contains = ["guarantee"]              # regular expressions
""",
    Seat.SENTIMENT: """
[[scenario]]
id = "news-answers"
category = "tone"                         # a report counts cases by category
cluster = "AAPL"                          # cases on one issuer, or one document, share their luck
seat = "sentiment"                        # who is asked: one role, "coordinator", "desk", or "model"
as_of = 2022-06-30                        # nothing that became known later can be seen
question = "What is the news on AAPL?"
fixture = { sample = true }               # or files = ["documents.jsonl"], beside this file

[scenario.expect]
abstain = false                           # true: it must say honestly that it cannot tell
not_contains = ["ignore (all|the) .*instructions"]   # regular expressions
""",
    Seat.COORDINATOR: """
[[scenario]]
id = "roles-disagree"
category = "conflict"                     # a report counts cases by category
cluster = "AAPL"                          # cases on one issuer, or one document, share their luck
seat = "coordinator"                      # its words alone are judged; the other roles are there
as_of = 2022-06-30                        # nothing that became known later can be seen
question = "What is the outlook for AAPL over 10 days?"
fixture = { sample = true }
cast = { analyst = "strong_up", risk = "strong_down" }   # or "silent", "overconfident"

[scenario.expect]
probability = { low = 0.3, high = 0.8 }   # of a rise, as the desk gives it
not_contains = ["certain", "guarantee"]   # regular expressions
""",
    Seat.DESK: """
[[scenario]]
id = "follow-up-keeps-the-ticker"
category = "follow-up"                    # a report counts cases by category
cluster = "AAPL"                          # cases on one issuer, or one document, share their luck
seat = "desk"                             # all roles and the coordinator
as_of = 2022-06-30                        # nothing that became known later can be seen
fixture = { sample = true }

[[scenario.turns]]                        # a conversation: each turn has its own expectations
question = "How risky is AAPL over the next 10 days?"
expect = { figures = [{ name = "var", unit = "fraction", low = 0.0, high = 0.5 }] }

[[scenario.turns]]
question = "And over 20 days?"
expect = { abstain = false, not_contains = ["guarantee"] }
""",
    Seat.MODEL: """
[[scenario]]
id = "reads-a-number"
category = "numeracy"                     # a report counts cases by category
seat = "model"                            # a model alone, outside the desk

[scenario.bare]
instructions = "Answer with one number and nothing else."
prompt = "Revenue was 120 million dollars last year and 150 million this year. What is the growth in percent?"

[scenario.expect]
contains = ['\\b25\\b']                     # a regular expression; '...' keeps its backslashes
""",
}
HEAD = """\
#:schema ./$schema
# Scenarios, each [[scenario]] one case. Check: outcry eval check FILE. Play: outcry eval run FILE
# The line above lets an editor help; `outcry eval schema > $schema` writes what it names.
"""


def example(seat: Seat | str) -> str:
    """A file with one case for *seat*, in TOML, with comments; it passes `check` and can be run at once."""
    known = made(Made.model_validate({"situation": "steady", "seed": 1, "with": {"deviation": 0.02}}))
    values = {"as_of": known.as_of, "var": f"{known.truths['var_1d']:.6f}", "schema": SCHEMA}
    return Template(HEAD + CASES[Seat(seat)]).substitute(values)


def schema() -> dict[str, Any]:
    """The JSON Schema of a file: one scenario, several under `scenario`, or templates."""
    kinds: tuple[Any, ...] = (Scenario, Templates)
    refs, whole = models_json_schema([(kind, "validation") for kind in kinds], by_alias=True)
    one, templates = (refs[kind, "validation"] for kind in kinds)
    several = {
        "type": "object",
        "properties": {"scenario": {"type": "array", "items": one, "description": "the cases, in order"}},
        "required": ["scenario"],
        "additionalProperties": False,
    }
    definitions = {name: _described(definition) for name, definition in whole["$defs"].items()}
    _narrow(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A file of scenarios of Open Outcry",
        "type": "object",
        "if": {"required": ["scenario"]},
        "then": several,
        "else": {"if": {"required": ["situation"]}, "then": templates, "else": one},
        "$defs": definitions,
    }


def _narrow(definitions: dict[str, dict[str, Any]]) -> None:
    """Names that an editor can offer, and keys of which exactly one must be there."""
    for name, key in (("Made", "situation"), ("Situated", "name")):
        definitions[name]["properties"][key]["enum"] = sorted(situations())
    tools = {"anyOf": [{"enum": sorted(catalogued())}, {"type": "string"}]}  # a model alone may have tools of its own
    for name, key in (("ToolsExpected", "required"), ("ToolsExpected", "forbidden"), ("Expect", "not_computed")):
        definitions[name]["properties"][key]["items"] = tools
    definitions["FigureExpected"]["properties"]["tool"]["anyOf"] = tools["anyOf"]
    for name, keys in (("Fixture", ("sample", "files", "made")), ("Scenario", ("question", "turns", "bare"))):
        definitions[name]["oneOf"] = [{"required": [key]} for key in keys]


def _described(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition with a description at each key that has none."""
    said = {
        name: value if "description" in value or name not in MEANT else {**value, "description": MEANT[name]}
        for name, value in definition.get("properties", {}).items()
    }
    return {**definition, "properties": said} if said else definition
