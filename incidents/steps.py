"""Which level is called next, whom it means, and why. Pure: the engine applies it, the timeline keeps the reasons."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Somebody whom a target means. `user_id` is None where a target means nobody; then `problem` says why.

    `is_spare`: the problem is only that they are busy, offline or away, so they are paged where nobody else can be.
    """

    user_id: int | None
    name: str
    why: str
    problem: str = ""
    is_spare: bool = False


@dataclasses.dataclass(frozen=True)
class Step:
    """The decision: where the escalation stands now, whom to page, and when to look again.

    `wait_minutes` is None when nothing comes after. `alarm` is a sentence for the admins, or "".
    """

    round: int
    level: int
    pages: tuple[Candidate, ...]
    reasons: tuple[str, ...]
    wait_minutes: int | None
    alarm: str = ""
    is_over: bool = False


def next_step(policy, *, round, level, candidates, fallback=None):
    """Decide the step after (`round`, `level`); level 0 means that nobody was called in this round yet.

    `policy` is the incident's copy; `candidates(level copy)` gives the Candidates of a level; `fallback()` that of the
    fallback person, or None. A level without a person who can be reached follows the policy's nobody_action, and is
    passed over at most once per step, so the walk always ends.
    """
    levels = policy.get("levels") or []
    if not levels:
        why = "The service has no escalation policy." if not policy else f"The policy {policy['name']} has no levels."
        return Step(round, level, (), (why,), None, alarm=f"{why} Nobody was paged.", is_over=True)

    reasons, tried, spares = [], 0, []
    while True:
        place = next((index for index, one in enumerate(levels) if one["number"] > level), None)
        if place is None:
            if round >= policy["repeats"]:
                if spares:
                    return _page_spares(round, level, spares, reasons, levels[-1]["delay_minutes"])
                return _the_end(policy, round, level, reasons, tried)
            round, level, place = round + 1, 0, 0
            reasons.append(f"Round {round + 1}: the policy starts again at level {levels[0]['number']}.")
        current = levels[place]
        level = current["number"]
        found = candidates(current)
        pages = _distinct(one for one in found if not one.problem)
        reasons += [f"Level {level}: {one.problem}." for one in found if one.problem]
        if not found:
            reasons.append(f"Level {level} has no targets.")
        if pages:
            reasons += [f"Level {level}: {one.name}, {one.why}." for one in pages]
            return Step(round, level, pages, tuple(reasons), current["delay_minutes"])

        tried += 1
        spares += [one for one in found if one.is_spare]
        action = policy["nobody_action"]
        nobody = f"Nobody can be reached at level {level} of {policy['name']}."
        if action == "fallback":
            person = fallback() if fallback else None
            if person and not person.problem:
                reasons.append(f"{nobody} The fallback person is paged: {person.name}.")
                return Step(round, level, (person,), tuple(reasons), current["delay_minutes"])
            problem = person.problem if person else "no fallback person is set"
            reasons.append(f"{nobody} The fallback cannot be paged either: {problem}.")
        is_last = tried >= len(levels)
        if spares and (is_last or action != "next_level"):
            reasons.append(nobody)
            return _page_spares(round, level, spares, reasons, current["delay_minutes"])
        if action == "alarm":
            reasons.append(f"{nobody} The system alarm is raised.")
            return Step(round, level, (), tuple(reasons), current["delay_minutes"], alarm=nobody)
        reasons.append(f"{nobody} The next level is called at once.")
        if is_last:
            alarm = f"Nobody can be reached at any level of {policy['name']}."
            reasons.append(f"{alarm} The system alarm is raised.")
            return Step(round, level, (), tuple(reasons), current["delay_minutes"], alarm=alarm)


def _page_spares(round, level, spares, reasons, wait_minutes):
    """Page those who are busy, offline or away: that beats nobody at all."""
    pages = _distinct(spares)
    names = ", ".join(one.name for one in pages)
    reasons = (*reasons, f"Paged all the same, since nobody else is left: {names}.")
    return Step(round, level, pages, reasons, wait_minutes)


def _the_end(policy, round, level, reasons, tried):
    text = f"All levels of {policy['name']} were called {policy['repeats'] + 1} times and nobody acknowledged."
    if policy["repeats"] == 0:
        text = f"All levels of {policy['name']} were called and nobody acknowledged."
    return Step(round, level, (), (*reasons, text), None, alarm=text, is_over=True)


def _distinct(people):
    """Two targets that mean the same person page that person once."""
    found = {}
    for one in people:
        found.setdefault(one.user_id, one)
    return tuple(found.values())
