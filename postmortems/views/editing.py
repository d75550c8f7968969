"""The editor: title, summary and sections in one form, so that no button loses what stands in another field.

With script (static/postmortems/editor.js) each section saves itself; without, one button saves all. Either way a save
says which version it saw, and what somebody else saved since is shown beside it and never overwritten unseen.
"""

import dataclasses

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.permissions import may
from core import markdown
from core.errors import DomainError
from notifications.message import storable
from postmortems import images, writing
from postmortems.difference import DELETE, INSERT, difference
from postmortems.forms import HeadForm
from postmortems.models import Revision, Section
from postmortems.views import finding


@dataclasses.dataclass
class Draft:
    """A section as its field shows it: what is stored, or what was typed and is not stored."""

    section: Section
    title: str
    body: str
    seen: int
    error: str = ""
    conflict: dict | None = None
    html: str = ""

    @property
    def is_typed(self):
        """Whether the fields hold what is not stored."""
        return (self.title, self.body) != (self.section.title, self.section.body)


@login_required
@never_cache
def edit(request, number):
    """Show the editor; take everything that stands in it, and then do what the button says."""
    found = finding.writable(request, number)
    if request.method != "POST":
        return _page(request, found)
    verb, _, name = request.POST.get("do", "save").partition(":")
    if verb == "restore":  # before all is saved: something may have been typed into the section since
        _restore(request, found, finding.uuid_of(name))
    # A section that somebody removed meanwhile is there too, with what was typed into it.
    drafts = [
        _typed(request, section)
        for section in found.sections.all()
        if section.removed_at is None or f"body-{section.uuid}" in request.POST
    ]
    head = HeadForm(request.POST, for_whom=request.user, postmortem=found)
    if verb == "preview":
        for draft in drafts:
            draft.html = _drawn(found, draft.body) if str(draft.section.uuid) == name else ""
        return _page(request, found, drafts, head)
    if verb == "both":
        for draft in drafts:
            if str(draft.section.uuid) == name:
                draft.body = _merged(draft)
        return _page(request, found, drafts, head)
    has_head = "head-title" not in request.POST or _save_head(request, found, head)
    for draft in drafts:
        chosen = verb if name == str(draft.section.uuid) else ""
        if f"body-{draft.section.uuid}" in request.POST and _is_changed(draft, chosen):
            _save(request, draft, chosen)
    if any(draft.conflict for draft in drafts) or any(draft.error for draft in drafts) or not has_head:
        status = 409 if any(draft.conflict for draft in drafts) else 400
        if has_head:  # it is stored, so the page begins from that
            found, head = finding.writable(request, number), None
        return _page(request, found, drafts, head, status=status)
    return _then(request, found, verb, finding.uuid_of(name))


def _typed(request, section):
    def value(field, stored):
        return storable(request.POST.get(f"{field}-{section.uuid}", stored)).replace("\r\n", "\n")

    seen = finding.number_of(request.POST.get(f"seen-{section.uuid}", "")) or 0
    return Draft(section, value("title", section.title), value("body", section.body), seen)


def _is_changed(draft, chosen):
    stored = draft.section
    return chosen == "theirs" or draft.body != stored.body or draft.title.strip() != stored.title


def _save(request, draft, chosen):
    """Store one section; a refusal stays in the draft, with the text."""
    by_whom = {"by": request.user, "now": timezone.now()}
    try:
        if chosen == "theirs":
            _take_theirs(draft.section, draft.title, draft.body, draft.seen, by_whom)
        else:
            writing.save_section(
                draft.section.uuid, title=draft.title, body=draft.body, seen_version=draft.seen, **by_whom
            )
    except writing.Conflict as conflict:
        draft.conflict = _two_versions(draft.section, draft.body, conflict)
        draft.seen = conflict.version
    except DomainError as error:
        draft.error = error.message


def _take_theirs(section, title, body, seen, by_whom):
    """Let what somebody else saved stand, and keep the own text among the versions. Returns the section."""
    theirs = section.revisions.filter(version=seen).first()
    saved = writing.save_section(section.uuid, title=title, body=body, seen_version=seen, **by_whom)
    if theirs is None:  # it went on meanwhile, and the text that was sent is what stands there
        return saved
    return writing.save_section(
        section.uuid, title=theirs.title, body=theirs.body, seen_version=saved.version, **by_whom
    )


def _merged(draft):
    """Both texts in one, line by line, to be merged by hand."""
    theirs = draft.section.revisions.filter(version=draft.seen).first() or draft.section
    return "".join(text for _, text in difference(draft.body, theirs.body))


def _two_versions(section, mine, conflict):
    """What is shown when two people changed a section: both texts, with the differences marked."""
    parts = difference(mine, conflict.theirs)
    return {
        "section": section,
        "by": conflict.by,
        "version": conflict.version,
        "mine": [part for part in parts if part[0] != INSERT],
        "theirs": [part for part in parts if part[0] != DELETE],
        "their_body": conflict.theirs,
        "both": "".join(text for _, text in parts),
    }


def _save_head(request, found, form):
    """Whether title, summary and times are stored, or nobody touched them."""
    if not form.is_valid():
        return False
    if not form.has_changed():
        return True
    seen = finding.number_of(request.POST.get("seen-head", "")) or 0
    try:
        writing.save_head(
            found.number,
            **{name: form.cleaned_data[name] for name in form.changed_data},
            seen_version=seen,
            by=request.user,
            now=timezone.now(),
        )
    except DomainError as error:
        form.refuse(error)
        return False
    return True


def _restore(request, found, uuid):
    if uuid and found.sections.filter(uuid=uuid).exists():
        finding.do(request, "The section is back, with its text.", writing.restore_section, uuid)


def _then(request, found, verb, uuid):
    """What the pressed button does once everything is saved; then show the editor again."""
    act = {
        "up": ("The section stands one higher.", writing.move_section, {"step": -1}),
        "down": ("The section stands one lower.", writing.move_section, {"step": 1}),
        "remove": ("The section is removed. It can be restored below.", writing.remove_section, {}),
    }.get(verb)
    anchor = f"#edit-{uuid}" if uuid and verb != "remove" else ""
    if verb == "add":
        title = finding.text_of(request.POST, "new-title", 300)
        made = finding.do(
            request, "The section is there. Write it below.", writing.add_section, found.number, title=title
        )
        anchor = f"#edit-{made.uuid}" if made else "#new-title"
    elif act and uuid and found.sections.filter(uuid=uuid).exists():
        said, change, values = act
        finding.do(request, said, change, uuid, **values)
    elif verb == "theirs":
        messages.success(request, "Their text stands. Yours is kept among the versions of the section.")
    elif verb != "restore":  # that was said
        messages.success(request, "Everything is saved.")
    if verb == "read":
        return redirect("postmortems:postmortem", found.number)
    return redirect(reverse("postmortems:edit", args=[found.number]) + anchor)


def _page(request, found, drafts=None, head=None, status=200):
    if drafts is None:
        rows = found.sections.filter(removed_at=None)
        drafts = [Draft(one, one.title, one.body, one.version) for one in rows]
    context = finding.context(
        request,
        postmortem=found,
        tab="edit",
        drafts=drafts,
        head=head or HeadForm(for_whom=request.user, postmortem=found),
        head_stored=found if head is not None and head.errors else None,
        is_head_typed=head is not None and head.has_changed(),
        removed=found.sections.exclude(removed_at=None),
        images=[(one, images.markdown(one)) for one in found.images.defer("body")],
    )
    return render(request, "postmortems/edit.html", context, status=status)


def _drawn(found, text):
    return markdown.render(text, picture=images.picture_of(found))


@login_required
@never_cache
@require_POST
def preview(request, number):
    """What the text of one section looks like to its readers, drawn by the same code."""
    found = finding.writable(request, number)
    uuid = finding.uuid_of(request.POST.get("section", ""))
    text = storable(request.POST.get(f"body-{uuid}", request.POST.get("body", "")))[: writing.LONGEST_BODY]
    return HttpResponse(_drawn(found, text) if text.strip() else '<p class="soft">Nothing is written yet.</p>')


@login_required
@never_cache
@require_POST
def autosave(request, number, uuid):
    """Store one section for the script of the editor; answers in JSON what became of it."""
    found = finding.writable(request, number)
    section = get_object_or_404(found.sections, uuid=uuid)
    now = timezone.now()
    draft = _typed(request, section)
    try:
        if request.POST.get("take") == "theirs":
            saved = _take_theirs(section, draft.title, draft.body, draft.seen, {"by": request.user, "now": now})
        else:
            saved = writing.save_section(
                uuid,
                title=draft.title,
                body=draft.body,
                seen_version=draft.seen,
                is_autosave=request.POST.get("auto") == "yes",
                by=request.user,
                now=now,
            )
    except writing.Conflict as conflict:
        both = _two_versions(section, draft.body, conflict)
        html = render_to_string("postmortems/_conflict.html", {"conflict": both, "now": now}, request)
        answer = {
            "message": conflict.message,
            "html": html,
            "version": conflict.version,
            "theirs": conflict.theirs,
            "both": both["both"],
        }
        return JsonResponse(answer, status=409)
    except DomainError as error:
        return JsonResponse({"message": error.message}, status=error.status)
    return JsonResponse({"version": saved.version, "title": saved.title, "body": saved.body})


# --- versions ---------------------------------------------------------------------------------------------------


@login_required
@never_cache
def versions(request, number, uuid):
    """The versions of a section, what is different between two of them, and the way back to one."""
    found = finding.readable(request, number) if request.method != "POST" else finding.writable(request, number)
    sections = found.sections.all()
    if not may(request.user, "respond", found):
        sections = sections.filter(removed_at=None)  # what was taken out is not for readers
    section = get_object_or_404(sections, uuid=uuid)
    if request.method == "POST":
        version = finding.number_of(request.POST.get("version", ""))
        if version and section.revisions.filter(version=version).exists():
            finding.do(
                request,
                f"Version {version} is the newest again. What stood there before is among the versions.",
                writing.restore,
                uuid,
                version,
            )
        else:
            finding.refuse(request, "There is no such version. Choose one of the list.")
        return redirect("postmortems:versions", number, uuid)
    rows = list(section.revisions.select_related("by").defer("body"))
    new = _revision(section, request.GET.get("to", "")) or section.revisions.first()
    old = _revision(section, request.GET.get("from", ""))
    if old is None and new is not None:
        old = section.revisions.filter(version__lt=new.version).first()
    context = finding.context(
        request,
        postmortem=found,
        tab="versions",
        wanted=section,
        sections=sections,
        rows=rows,
        old=old,
        new=new,
        parts=difference(old.body if old else "", new.body) if new else [],
    )
    return render(request, "postmortems/versions.html", context)


def _revision(section, text):
    version = finding.number_of(text)
    return Revision.objects.filter(section=section, version=version).first() if version else None
