"""Posts on a status page: written, continued, corrected, deleted. Only what somebody types is published.

A form is asked what readers would see before it is sent: by its button, or while somebody types, when
static/js/quiet.js asks for the fragment `preview`.
"""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.permissions import may, visible
from core.errors import DomainError
from incidents import states as incident_states
from incidents.models import Incident
from statuspages import publishing, reasons, states
from statuspages.keeping_forms import NUMBER, PostForm, PostHeadForm, UpdateForm, UpdateTextForm, as_uuid
from statuspages.models import Post, PostTemplate, PostUpdate, StatusPage, Subscriber
from statuspages.views.keeping import confirm, context_of, find, hide_incidents

OVER = (incident_states.RESOLVED, incident_states.CLOSED)


def subscribers_of(page):
    """How many are told of a post."""
    return Subscriber.objects.told().filter(page=page).count()


def is_asked(request):
    """Whether the form only asks what readers would see."""
    return "preview" in request.POST or "X-Fragment" in request.headers


def filled_again(form, request, template):
    """What a form begins with when a template is to be filled in: what was typed, and over it the template's words."""
    typed = {name: request.POST.get(name, "") for name in form.fields}
    lists = {name: request.POST.getlist(name) for name, field in form.fields.items() if is_list(field)}
    ticks = {name: name in request.POST for name, field in form.fields.items() if is_tick(field)}
    found = {**typed, **lists, **ticks}
    if template is not None:
        found |= {**form.filled(template, form.fields), "template": str(template.uuid)}
    return found


def is_list(field):
    return hasattr(field.widget, "allow_multiple_selected") and field.widget.allow_multiple_selected


def is_tick(field):
    return getattr(field.widget, "input_type", "") == "checkbox" and not is_list(field)


def template_of(page, kind, text):
    """The template that was chosen, of those that are offered."""
    rows = PostTemplate.objects.filter(Q(page=page) | Q(page=None), kind=kind)
    return rows.filter(uuid=as_uuid(text)).first() if as_uuid(text) else None


def preview_of(form, components):
    """What readers would see of a form, whatever is still wrong with it."""
    given = form.cleaned_data
    stage = given.get("stage", "")
    return {
        "title": given.get("title", ""),
        "stage": dict(states.STAGES).get(stage, ""),
        "stage_word": stage,
        "body": given.get("body", ""),
        "components": components,
    }


def affected_by(form):
    """`[(name, state in words)]` of the components that a form says are affected."""
    names = {str(one.uuid): one.name for one in form.components}
    words = dict(states.COMPONENT_STATES)
    return [(names[key], words.get(state, "")) for key, state in form.chosen_components().items()]


def previewed(request, page, preview):
    """The preview alone."""
    context = {"preview": preview, "zone": page.time_zone}
    response = render(request, "statuspages/_keep_preview.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response


# --- a new post ---------------------------------------------------------------------------------------------------


@login_required
@never_cache
def post_new(request, slug):
    """Post about trouble. `?incident=` links an incident and chooses the components that show its service."""
    page = find(request, slug, "respond")
    incident = _asked_incident(request)
    begin = {"for_whom": request.user, "page": page}
    if request.method == "POST" and "fill" in request.POST:
        empty = PostForm(**begin)
        template = template_of(page, Post.Kind.INCIDENT, request.POST.get("template"))
        form = PostForm(**begin, initial=filled_again(empty, request, template))
    elif request.method == "POST":
        form = PostForm(request.POST, **begin)
    else:
        chosen = _chosen_for(page, incident)
        initial = {"incident": str(incident.pk)} if incident else {}
        if template := template_of(page, Post.Kind.INCIDENT, request.GET.get("template")):
            initial |= {"title": template.title, "stage": template.stage or states.INVESTIGATING}
            initial |= {"body": template.body, "template": str(template.uuid)}
        form = PostForm(**begin, initial=initial, chosen=chosen)
    preview = None
    if form.is_bound:
        is_valid = form.is_valid()
        if is_asked(request):
            preview = preview_of(form, affected_by(form))
        elif is_valid and (post := _opened(request, page, form)):
            messages.success(request, f"“{post.title}” is posted. The page shows it within two seconds.")
            return redirect("statuspages:status-post", page.slug, post.uuid)
        if "X-Fragment" in request.headers:
            return previewed(request, page, preview)
    context = context_of(
        request, page, form=form, preview=preview, incident=incident, subscribers_count=subscribers_of(page)
    )
    has_errors = form.is_bound and form.errors and preview is None
    return render(request, "statuspages/keep_post_new.html", context, status=400 if has_errors else 200)


def _asked_incident(request):
    found = NUMBER.fullmatch(request.GET.get("incident", ""))
    return visible(Incident.objects.all(), request.user).filter(pk=int(found[1])).first() if found else None


def _chosen_for(page, incident):
    """The components that an incident of this service may change, as affected in the state it gives them."""
    if incident is None:
        return None
    rows = reasons.components_showing(incident.service).filter(page=page)
    return {str(one): "" for one in rows.values_list("uuid", flat=True)}


def _opened(request, page, form):
    try:
        return publishing.open_incident(page.pk, **form.values(), by=request.user, now=timezone.now())
    except DomainError as error:
        form.refuse(error)
        return None


# --- one post -----------------------------------------------------------------------------------------------------


def find_post(request, slug, uuid, verb="read"):
    page = find(request, slug, verb)
    rows = Post.objects.select_related("incident__service", "created_by", "series")
    rows = rows.prefetch_related("affected__component", "updates__by")
    post = get_object_or_404(rows, page=page, uuid=uuid)
    post.page = page
    return post


@login_required
@never_cache
def post(request, slug, uuid):
    """A post with its updates, and the form for the next one. `?stage=` chooses the stage it begins with."""
    found = find_post(request, slug, uuid, "respond" if request.method == "POST" else "read")
    form = preview = None
    if may(request.user, "respond", found.page):
        begin = {"for_whom": request.user, "post": found}
        if request.method == "POST" and "fill" in request.POST:
            template = template_of(found.page, found.kind, request.POST.get("template"))
            form = UpdateForm(**begin, initial=filled_again(UpdateForm(**begin), request, template))
        elif request.method == "POST":
            form = UpdateForm(request.POST, **begin)
        else:
            stage = request.GET.get("stage", "")
            words = dict(UpdateForm(**begin).fields["stage"].choices)
            form = UpdateForm(**begin, initial={"stage": stage} if stage in words else {})
    if form is not None and form.is_bound:
        is_valid = form.is_valid()
        if is_asked(request):
            preview = preview_of(form, affected_by(form))
        elif is_valid and _updated(request, found, form):
            messages.success(request, "The update is posted. The page shows it within two seconds.")
            return redirect("statuspages:status-post", found.page.slug, found.uuid)
        if "X-Fragment" in request.headers:
            return previewed(request, found.page, preview)
    hide_incidents([found], request.user)
    context = context_of(
        request,
        found.page,
        post=found,
        form=form,
        preview=preview,
        is_over=found.stage in states.OVER,
        incident_is_over=bool(found.shown_incident) and found.shown_incident.status in OVER,
        subscribers_count=subscribers_of(found.page),
    )
    has_errors = form is not None and form.is_bound and form.errors and preview is None
    return render(request, "statuspages/keep_post.html", context, status=400 if has_errors else 200)


def _updated(request, post, form):
    try:
        return publishing.add_update(post.uuid, **form.values(), by=request.user, now=timezone.now())
    except DomainError as error:
        form.refuse(error)
        return None


@login_required
@never_cache
def post_edit(request, slug, uuid):
    """Correct the title or the impact of a post, and of maintenance its times."""
    found = find_post(request, slug, uuid, "respond")
    form = PostHeadForm(request.POST or None, for_whom=request.user, post=found)
    return _corrected(request, found, form, "Correct the post", publishing.edit_post, found.uuid, "The post is saved.")


@login_required
@never_cache
def update_edit(request, slug, uuid, update):
    """Correct the text of an update. Nobody is told again."""
    found = find_post(request, slug, uuid, "respond")
    row = get_object_or_404(PostUpdate, post=found, uuid=update)
    form = UpdateTextForm(request.POST or None, for_whom=request.user, page=found.page, initial={"body": row.body})
    said = "The update is saved. Nobody is told again."
    return _corrected(request, found, form, "Correct the update", publishing.edit_update, row.uuid, said)


def _corrected(request, post, form, heading, verb, key, said):
    if request.method == "POST" and form.is_valid():
        try:
            verb(key, **form.cleaned_data, by=request.user, now=timezone.now())
        except DomainError as error:
            form.refuse(error)
        else:
            messages.success(request, said)
            return redirect("statuspages:status-post", post.page.slug, post.uuid)
    context = context_of(request, post.page, post=post, form=form, heading=heading)
    has_errors = form.is_bound and form.errors
    return render(request, "statuspages/keep_post_edit.html", context, status=400 if has_errors else 200)


@login_required
@never_cache
def post_remove(request, slug, uuid):
    """Ask, then take a post off the page, with all that was said in it."""
    found = find_post(request, slug, uuid, "respond")
    if request.method == "POST":
        try:
            publishing.remove(found.uuid, by=request.user, now=timezone.now())
        except DomainError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, f"“{found.title}” is deleted. Notices that waited are not sent.")
        return redirect("statuspages:status-page", found.page.slug)
    return confirm(
        request,
        found.page,
        heading="Delete this post?",
        text=f"“{found.title}” goes from the page and its history, with all its updates. Notices that still wait are "
        "not sent; those that were sent stay with their readers. To say that it is over, resolve it instead.",
        button="Delete the post",
        back=reverse("statuspages:status-post", args=[found.page.slug, found.uuid]),
    )


# --- on the page of an incident -----------------------------------------------------------------------------------


@login_required
@never_cache
@require_GET
def incident_panel(request, number):
    """The status pages that show the service of an incident, and what is posted about it: a part of its page."""
    incident = get_object_or_404(visible(Incident.objects.select_related("service"), request.user), pk=number)
    posts = list(visible(Post.objects.filter(incident=incident).select_related("page__team"), request.user))
    components = visible(reasons.components_showing(incident.service), request.user)
    by_page = {}
    for one in components.order_by("position", "pk"):
        by_page.setdefault(one.page_id, []).append(one)
    pages = {one.page_id: one.page for one in posts}
    rows = StatusPage.objects.filter(pk__in=by_page).select_related("team").order_by("name")
    pages |= {one.pk: one for one in visible(rows, request.user)}
    found = []
    for pk, page in sorted(pages.items(), key=lambda item: item[1].name.lower()):
        here = [one for one in posts if one.page_id == pk]
        for one in here:
            one.is_over = one.stage in states.OVER
        found.append(
            {
                "page": page,
                "components": by_page.get(pk, []),
                "posts": here,
                "may_respond": may(request.user, "respond", page),
            }
        )
    context = {
        "section": "incidents",
        "incident": incident,
        "pages": found,
        "is_over": incident.status in OVER,
    }
    is_fragment = context["is_fragment"] = "X-Fragment" in request.headers
    template = "_keep_panel" if is_fragment else "keep_panel"
    response = render(request, f"statuspages/{template}.html", context)
    patch_vary_headers(response, ["X-Fragment"])
    return response
