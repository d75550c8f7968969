"""The verbs of proposals: a machine proposes, a person approves or rejects. Never on the paging path.

Nothing here locks an incident: whatever a machine writes, nobody's acknowledgement waits for it.
"""

import html

from django.db import transaction
from django.utils.html import strip_tags

from automation.models import Hypothesis, RecommendedAction, Verdict
from core import markdown
from core.errors import DomainError, IllegalMove, NotAllowed, NotFound
from incidents import timeline
from incidents.models import Incident
from notifications.message import storable

MOST = 100  # of each kind for one incident: a program in a loop must not bury what the others say
MOST_EVIDENCE = 20
LONGEST_TEXT, LONGEST_EVIDENCE, LONGEST_FEEDBACK = 10_000, 2_000, 5_000
KINDS = {"hypothesis": Hypothesis, "action": RecommendedAction}
WORDS = {Hypothesis: "hypothesis", RecommendedAction: "recommended action"}


@transaction.atomic
def propose(model, number, *, text, source, by, now, confidence=None, evidence=(), via="api", **more):
    """Write down a Hypothesis or a RecommendedAction about an incident, and say so in its timeline.

    `confidence` is from 0 to 1 or None, `evidence` a list of `{"text": …, "url": … or ""}`. Raises NotFound, or
    DomainError with a sentence.
    """
    incident = Incident.objects.filter(pk=number).first()
    if incident is None:
        raise NotFound(f"There is no incident #{number}.")
    text, source = storable(text).strip()[:LONGEST_TEXT], " ".join(storable(source).split())[:100]
    if not text:
        raise DomainError("The text is empty. Say what the cause may be, or what to do.")
    if not source:
        raise DomainError("Name the program that says so, as “source”.")
    if confidence is not None and not 0 <= confidence <= 1:
        raise DomainError("The confidence is a number from 0 to 1, such as 0.8.")
    if len(evidence) > MOST_EVIDENCE:
        raise DomainError(f"Give at most {MOST_EVIDENCE} pieces of evidence: the strongest.")
    if model.objects.filter(incident=incident).count() >= MOST:
        raise DomainError(f"Incident #{number} has {MOST} of these already. Post the strongest only.", code="too_many")
    row = model.objects.create(
        incident=incident,
        text=text,
        source=source,
        confidence=confidence,
        evidence=[{"text": one["text"][:LONGEST_EVIDENCE], "url": one.get("url", "")} for one in evidence],
        proposed_by=by,
        proposed_at=now,
        **more,
    )
    sure = "" if row.percent is None else f", {row.percent} % sure"
    said = f"{source} proposes a {WORDS[model]}{sure}: {first_line(text)}"
    timeline.record(incident, "proposed", said, at=now, by=by, via=via, proposal=str(row.uuid))
    return row


@transaction.atomic
def review(model, uuid, *, verdict, by, now, feedback="", seen="", via="web"):
    """Approve or reject a proposal. Only a person does that; twice is harmless, and the last word counts.

    `seen` is the verdict that the reviewer saw: when somebody else said another one meanwhile, it is refused. Raises
    NotFound, NotAllowed, IllegalMove or DomainError. Approving an action records it; nothing is run.
    """
    row = (
        model.objects.select_for_update(of=("self",))
        .select_related("incident", "reviewed_by")
        .filter(uuid=uuid)
        .first()
    )
    if row is None:
        raise NotFound(f"There is no {WORDS[model]} with this id.")
    if verdict not in (Verdict.APPROVED, Verdict.REJECTED):
        raise DomainError("Approve or reject it: another verdict there is not.")
    if by is None or by.is_machine:
        raise NotAllowed("A machine proposes and a person reviews. Use the token of a person, or the page.")
    feedback = storable(feedback).strip()[:LONGEST_FEEDBACK]
    if row.verdict == verdict and row.feedback == feedback:
        return row  # the button was pressed twice, or two people agree
    if seen and seen != row.verdict != Verdict.OPEN:
        raise IllegalMove(f"{row.reviewed_by} {row.verdict} it meanwhile. Look at it again, then decide.")
    row.verdict, row.reviewed_by, row.reviewed_at, row.feedback = verdict, by, now, feedback
    row.save(update_fields=["verdict", "reviewed_by", "reviewed_at", "feedback"])
    said = f"{by} {verdict} the {WORDS[model]} of {row.source}: {first_line(row.text)}"
    if feedback:
        said += f" Feedback: {first_line(feedback)}"
    if model is RecommendedAction and verdict == Verdict.APPROVED:
        said += " No runbook belongs to it, so nothing was run: do it by hand."
    timeline.record(row.incident, "reviewed", said, at=now, by=by, via=via, proposal=str(row.uuid))
    return row


def first_line(text, longest=200):
    """The first line that says something, without its Markdown, for where there is only one line."""
    shown = html.unescape(strip_tags(markdown.render(text)))
    lines = (" ".join(line.split()) for part in (shown, text) for line in part.splitlines())
    line = next((one for one in lines if one), "")
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
