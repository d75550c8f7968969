"""Which address of a person is told, and after how long. Values in, values out, with the reasons in words."""

import dataclasses
import datetime


@dataclasses.dataclass(frozen=True)
class Method:
    """One address of a person. Only a verified one that is not disabled is usable."""

    id: int
    channel: str
    address: str
    is_verified: bool = True
    disabled_reason: str = ""
    shown: str = ""  # the address as others may read it, when that differs

    @property
    def is_usable(self):
        return self.is_verified and not self.disabled_reason

    @property
    def trouble(self):
        """Why it is not usable, as the end of a sentence."""
        if self.disabled_reason:
            return f"is disabled ({self.disabled_reason.rstrip('.')})"
        return "" if self.is_verified else "is not verified"

    def __str__(self):
        return f"{self.channel} {self.shown or self.address}"


@dataclasses.dataclass(frozen=True)
class Rule:
    """Tell this address of pages with this urgency, so many minutes after the page."""

    method_id: int
    urgency: str
    delay_minutes: int = 0


@dataclasses.dataclass(frozen=True)
class Reach:
    """How one person can be reached."""

    user_id: int
    name: str
    is_active: bool = True
    methods: tuple[Method, ...] = ()
    rules: tuple[Rule, ...] = ()


@dataclasses.dataclass(frozen=True)
class Planned:
    """One message to write: where to, when, and a text that names it within its page."""

    method_id: int
    channel: str
    address: str
    delay_minutes: int
    due_at: datetime.datetime
    rule_key: str


def plan(person, *, urgency, now):
    """Return what to send to `person`, soonest first, and the reasons for everything that was decided otherwise.

    Without a rule for this urgency every usable address is told at once, and also when the rules leave none: a page
    in the wrong place beats no page. An empty list means that the person cannot be reached; the last reason says why.
    """
    if not person.is_active:
        return [], [
            f"{person.name}'s account is not active. Activate it, or take them out of the schedule and policy."
        ]
    methods = {method.id: method for method in person.methods}
    usable = [method for method in person.methods if method.is_usable]
    reasons = []
    wanted = []
    for rule in person.rules:
        if rule.urgency != urgency:
            continue
        method = methods.get(rule.method_id)
        if method is not None and method.is_usable:
            wanted.append((method, rule.delay_minutes))
            continue
        what = f"{method} {method.trouble}" if method else "its contact method no longer exists"
        reasons.append(f"A rule of {person.name} for {urgency} urgency was skipped: {what}.")
    if not usable:
        reasons += [f"{person.name}'s contact method {method} {method.trouble}." for method in person.methods]
        reasons.append(
            f"{person.name} has no verified contact method. "
            "Add one under Contact methods in their profile and verify it."
        )
        return [], reasons
    if not wanted:
        if reasons:
            reasons.append(f"No rule of {person.name} was left, so every verified contact method is used at once.")
        wanted = [(method, 0) for method in usable]
    # One message per address and delay, however many rules ask for it.
    planned = {
        (method.id, delay): Planned(
            method_id=method.id,
            channel=method.channel,
            address=method.address,
            delay_minutes=delay,
            due_at=now + datetime.timedelta(minutes=delay),
            rule_key=f"m{method.id}d{delay}",
        )
        for method, delay in wanted
    }
    return sorted(planned.values(), key=lambda each: each.delay_minutes), reasons
