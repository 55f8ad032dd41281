"""What the webhook knows of datasets, and when it is sure."""

from typing import Any

from meshcache.agent.webhook.server import Known
from meshcache.errors import AgentUnreachable


class Agent:
    """Answers with its datasets, unless it is away."""

    def __init__(self, *names: str) -> None:
        self.names: list[str] | None = list(names)
        self.asked = 0

    async def datasets(self) -> list[dict[str, Any]]:
        self.asked += 1
        if self.names is None:
            raise AgentUnreachable("away")
        return [{"name": name, "namespaces": ["team-a"]} for name in self.names]


async def test_without_an_agent_what_is_named_by_hand_is_all_there_is() -> None:
    known = Known(["models"], None, callers_known=False)
    assert known.answered
    assert await known.is_sure_of(["models", "other"])
    assert "models" in known
    assert "other" not in known


async def test_a_name_that_is_not_known_may_be_new_and_is_asked_for() -> None:
    agent = Agent()
    known = Known([], agent.datasets, callers_known=False)
    assert not known.answered
    await known.look()
    agent.names = ["models"]
    assert await known.is_sure_of(["models"])
    assert known.allowed.names("models")
    assert known.allowed.namespaces("models") == ("team-a",)
    assert await known.is_sure_of(["models"])
    assert agent.asked == 2


async def test_while_the_agent_is_away_its_last_answer_stands_and_nothing_else_is_sure() -> None:
    agent = Agent("models")
    known = Known(["by-hand"], agent.datasets, callers_known=False)
    await known.look()
    agent.names = None
    assert await known.is_sure_of(["models", "by-hand"])
    assert not await known.is_sure_of(["models", "new"])
    assert known.answered
