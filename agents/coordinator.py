"""The coordinator: weighs what the roles found and says it in one voice. It calls no tool."""

from pydantic import BaseModel, ConfigDict, Field

from openoutcry.agents.role import NUMBERS, Role, Sentence


class Synthesis(BaseModel):
    """The coordinator's answer."""

    model_config = ConfigDict(extra="forbid")
    headline: Sentence = Field(description="the answer in one sentence with references; empty if nothing can be said")
    claims: list[Sentence] = Field(max_length=5, description="what supports it, and what speaks against it")


ROLE = Role(
    name="coordinator",
    instructions=f"""\
You are the coordinator of a trading desk. You get the question, what each role found, and the figures of
all evidence. Answer the question in one sentence, then give what supports it and what speaks against it.
Where roles disagree, say so. Where a role has no finding, do not speak for it. Use only figures that are
listed. The evidence of tool combine_views holds the desk's probability and the weight that each role's record
gives it.
{NUMBERS}""",
    tools=(),
    output=Synthesis,
)
