"""Random scenarios: one for each seed, in the scenario language, so that one that fails can be
read, shortened and kept as a test."""

import random

MEMBERS = 12
_KINDS = (
    "kill off leave restart join stall cut oneway lose heal put put delete event wait".split()  # noqa: SIM905
)


def scenario(seed: int, *, members: int = MEMBERS, steps: int = 12) -> str:
    """The text of a random scenario. All faults are over at its end, and all must agree then."""
    dice = random.Random(seed)
    lines = [f"members {members}"]
    dead: set[int] = set()
    started = members
    cuts: list[str] = []
    for step in range(steps):
        alive = [number for number in range(2, started) if number not in dead]
        kind = dice.choice(_KINDS)
        some = dice.sample(alive, min(len(alive), dice.randint(1, 3)))
        names = ",".join(f"n{number}" for number in some)
        match kind:
            case "kill" | "off" | "leave" if len(alive) > members // 2:
                lines.append(f"{kind} n{some[0]}")
                dead.add(some[0])
            case "restart" if dead:
                number = dice.choice(sorted(dead))
                dead.discard(number)
                lines.append(f"restart n{number}")
            case "join":
                lines.append("join 1")
                started += 1
            case "stall":
                timers = dice.choice(["", " timers"])
                lines.append(f"stall {names} for {dice.choice([1, 4, 12])}s{timers}")
            case "cut" | "oneway":
                others = ",".join(f"n{number}" for number in alive if number not in some)
                if others:
                    way = "from" if kind == "cut" else "to"
                    lines.append(f"cut {names} {way} {others} as c{step}")
                    cuts.append(f"c{step}")
            case "lose":
                lines.append(f"lose {dice.choice([20, 50, 80])}% from {names} to all as c{step}")
                cuts.append(f"c{step}")
            case "heal" if cuts:
                lines.append(f"heal {cuts.pop(0)}")
            case "put":
                lines.append(f"put n{some[0]} k{dice.randint(0, 3)} v{step}")
            case "event":
                lines.append(f"event n{some[0]} e{step}")
            case "delete":
                lines.append(f"delete n{some[0]} k{dice.randint(0, 3)}")
            case _:
                lines.append(f"wait {dice.choice([0.2, 1, 5, 15])}s")
    lines += [f"heal {name}" for name in cuts]
    lines += ["expect all agree within 400s", "expect same map within 30s"]
    return "\n".join(lines)
