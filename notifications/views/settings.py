"""A person's own settings: where and when they are reached. Everything here is about who is signed in."""

import dataclasses
import datetime

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import User
from core.errors import DomainError
from core.zones import zone_of
from notifications import picture, planning, probes, providers, push, telegram_links, verification
from notifications.forms import CodeForm, ContactForm, ProfileForm, QuietForm, RuleForm, described, own_address
from notifications.message import Kind
from notifications.models import ContactMethod, Notification, NotificationRule, QuietHours, Urgency, channels, vendors


def own(*methods):
    """A page of one's own: signed in, never kept by a cache, for these HTTP methods."""

    def decorate(view):
        return login_required(never_cache(require_http_methods([*methods])(view)))

    return decorate


# --- the page -------------------------------------------------------------------------------------------------
@own("GET", "HEAD")
def page(request):
    return show(request)


def show(request, refused=None):
    """The page; with a form that was refused, it keeps what was typed."""
    # What a refused form did to the row in memory is not shown.
    user, now = User.objects.get(pk=request.user.pk), timezone.now()

    def form(kind, key, **options):
        return refused if refused and refused.key == key else kind(key=key, **options)

    accounts = providers.all_accounts()
    methods = list(user.contact_methods.order_by("pk"))
    test = _test(request, user)
    used = _last_used(methods)
    ways = [_way(one, accounts, form, test, now, used.get(one.pk)) for one in methods]
    reach = planning.reaches([user.pk])[user.pk]
    context = {
        "section": "settings",
        "now": now,
        "person": user,
        "ways": ways,
        "is_reachable": any(one.method.is_usable and not one.no_account for one in ways),
        "is_new": not methods,
        "browsers": [one for one in ways if one.method.channel == push.WebPush.kind],
        "urgencies": [_urgency(one, user, reach, methods, form, now) for one in Urgency],
        "quiet": [(one, _days(one.days)) for one in user.quiet_hours.all()],
        "quiet_form": form(QuietForm, "quiet", user=user),
        "profile_form": form(ProfileForm, "profile", user=user),
        "push_key": push.public_key(),
        "chat": _chat(user, accounts, now),
        "refused": refused,
    }
    return render(request, "notifications/settings.html", context, status=400 if refused else 200)


@dataclasses.dataclass
class Way:
    """One contact method with all that its part of the page shows."""

    method: ContactMethod
    label: str
    address: str
    is_known: bool
    is_typed: bool
    no_account: str
    code_form: CodeForm
    is_code_open: bool
    test: dict | None
    used_at: datetime.datetime | None

    @property
    def state(self):
        """(colour of the chip, word)."""
        if self.method.disabled_reason:
            return "failed", "Not used"
        return ("resolved", "Verified") if self.method.verified_at else ("pending", "Not verified")


def _way(method, accounts, form, test, now, used_at):
    channel = channels.get(method.channel) if method.channel in channels else None
    return Way(
        method=method,
        label=_label(method),
        address=own_address(method),
        is_known=channel is not None,
        is_typed=bool(channel and channel.is_typed),
        no_account=_no_account(channel, accounts),
        code_form=form(CodeForm, f"code-{method.pk}"),
        is_code_open=bool(method.code_hash and method.code_expires_at and method.code_expires_at > now),
        test=test if test and test["notification"].contact_method_id == method.pk else None,
        used_at=used_at,
    )


def _last_used(methods):
    """When something was last sent to each: `{pk: datetime}`, in one statement."""
    rows = Notification.objects.filter(contact_method__in=methods, sent_at__isnull=False)
    return dict(
        rows.order_by().values("contact_method").annotate(at=Max("sent_at")).values_list("contact_method", "at")
    )


def _no_account(channel, accounts):
    """The vendor of whom an account is missing, or ""."""
    if not channel or not channel.vendor or accounts.get(channel.vendor) or channel.vendor not in vendors:
        return ""
    vendor = vendors.get(channel.vendor)
    return "" if vendor.new_config() is not None else vendor.label


def _urgency(urgency, user, reach, methods, form, now):
    """The rules for one urgency, and what they come to."""
    by_pk = {one.pk: one for one in methods}
    mine = list(user.notification_rules.filter(urgency=urgency).order_by("delay_minutes", "pk"))
    for one in mine:
        one.what = described(by_pk[one.contact_method_id])
        one.is_skipped = not by_pk[one.contact_method_id].is_usable
        one.form = form(RuleForm, f"delay-{one.pk}", user=user, urgency=urgency, rule=one)
    names = {one.pk: _label(one) for one in methods}
    drawn = picture.draw(reach, urgency=urgency, now=now)
    return {
        "value": urgency.value,
        "label": urgency.label,
        "rules": mine,
        "picture": drawn,
        "steps": [
            (one.when, [(names[pk], by_pk[pk], own_address(by_pk[pk])) for pk in one.method_ids])
            for one in drawn.steps
        ],
        "reasons": drawn.reasons if mine else [],
        "form": form(RuleForm, f"rule-{urgency.value}", user=user, urgency=urgency.value),
    }


def _days(days):
    """Weekdays in words: "every day", "Monday to Friday", "Saturday, Sunday"."""
    days = sorted(days)
    labels = [QuietHours.Weekday(day).label for day in days]
    if len(days) == 7:
        return "every day"
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{labels[0]} to {labels[-1]}"
    return ", ".join(labels)


def _label(method):
    return channels.get(method.channel).label if method.channel in channels else method.channel


def _chat(user, accounts, now):
    """The channel whose address is made by opening our bot, when there is an account of it: its link and code."""
    channel = telegram_links.Telegram
    if not accounts.get(channel.vendor):
        return None
    return {
        "label": channel.label,
        "url": telegram_links.address(user, now=now),
        "code": telegram_links.make(user, now=now),
    }


def _is_saved(form):
    """Save the form; False when the same was saved in the same moment, by a second click."""
    try:
        with transaction.atomic():
            form.save()
    except IntegrityError:
        form.add_error(None, "You have this already: it was saved a moment ago.")
        return False
    return True


# --- contact methods ------------------------------------------------------------------------------------------
def _mine(request, pk):
    return get_object_or_404(ContactMethod, pk=pk, user=request.user)


def _back(method=None, **query):
    """To the page, at this contact method."""
    address = reverse("settings")
    if query:
        address += "?" + "&".join(f"{name}={value}" for name, value in query.items())
    return redirect(f"{address}#contact-{method.pk}" if method else address)


@own("GET", "HEAD")
def choose_channel(request):
    """The first step of adding an address: on which channel."""
    accounts = providers.all_accounts()
    offered = [
        {
            "kind": kind,
            "label": cls.label,
            "help": cls.address_help,
            "no_account": _no_account(cls(), accounts),
            "is_web": cls.is_address_secret or "://" in cls.address_help,
        }
        for kind, cls in channels.classes().items()
        if cls.is_for_people and cls.is_typed
    ]
    # What most people want first: their phone and their mail, then what somebody has to set up elsewhere.
    offered.sort(key=lambda each: (bool(each["no_account"]), each["is_web"], each["label"].lower()))
    context = {"section": "settings", "offered": offered}
    return render(request, "notifications/settings_channel.html", context)


@own("GET", "HEAD", "POST")
def add_contact(request, kind):
    """The second step: the address. It is written unverified, and a code is sent to it at once."""
    channel = channels.get(kind) if kind in channels else None
    if channel is None or not channel.is_for_people or not channel.is_typed:
        raise Http404
    if vendor := _no_account(channel, providers.all_accounts()):
        messages.error(request, f"No account of {vendor} is set up. Ask an admin to set one up first.")
        return redirect("settings-contact-choose")
    method = ContactMethod(user=request.user, channel=kind)
    form = ContactForm(request.POST if request.method == "POST" else None, key="contact", method=method)
    if request.method == "POST" and form.is_valid() and _is_saved(form):
        _send_code(request, method)
        if method.secret:
            messages.info(request, f"Its signing secret is shown only now: {method.secret}")
        return _back(method)
    return _contact_page(request, form, channel)


@own("GET", "HEAD", "POST")
def contact(request, pk):
    """Change an address of mine, or what is said about it."""
    method = _mine(request, pk)
    if method.channel not in channels:
        messages.error(request, "This channel does not exist any more. Remove the address.")
        return _back(method)
    form = ContactForm(request.POST if request.method == "POST" else None, key="contact", method=method)
    if request.method == "POST" and form.is_valid() and _is_saved(form):
        if form.is_changed and not method.verified_at:
            _send_code(request, method)
        else:
            messages.success(request, "Saved.")
        return _back(method)
    return _contact_page(request, form, channels.get(method.channel))


def _contact_page(request, form, channel):
    context = {
        "section": "settings",
        "form": form,
        "channel": channel,
        "method": form.method,
        "what": own_address(form.method),
    }
    return render(request, "notifications/settings_contact.html", context, status=400 if form.errors else 200)


def _send_code(request, method):
    try:
        verification.send_code(method.pk, by=request.user, now=timezone.now())
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"A code is on its way to {own_address(method)}. Type it in below.")


@own("POST")
def send_code(request, pk):
    method = _mine(request, pk)
    _send_code(request, method)
    return _back(method)


@own("POST")
def verify(request, pk):
    method = _mine(request, pk)
    form = CodeForm(request.POST, key=f"code-{method.pk}")
    if form.is_valid():
        try:
            verification.confirm(method.pk, form.cleaned_data["code"], by=request.user, now=timezone.now())
        except DomainError as error:
            form.refuse(error)
        else:
            messages.success(request, f"{own_address(method)} is verified: you can be reached there.")
            return _back(method)
    return show(request, refused=form)


@own("POST")
def use_again(request, pk):
    """Use an address again that was found dead. One that is typed has to prove itself with a new code."""
    method = _mine(request, pk)
    if not method.disabled_reason:
        return _back(method)
    is_proved_by_code = method.channel in channels and channels.get(method.channel).is_typed
    with transaction.atomic():
        if is_proved_by_code:
            verification.forget(method)
        method.disabled_reason = ""
        method.save(update_fields=["disabled_reason", *(verification.FIELDS if is_proved_by_code else ())])
    if is_proved_by_code:
        _send_code(request, method)
    else:
        messages.success(request, "It is used again. Send yourself a test.")
    return _back(method)


@own("GET", "HEAD", "POST")
def remove_contact(request, pk):
    method = _mine(request, pk)
    if request.method == "POST":
        what = described(method)
        method.delete()
        messages.success(request, f"{what} is removed.")
        return _back()
    others = request.user.contact_methods.exclude(pk=method.pk).filter(disabled_reason="", verified_at__isnull=False)
    context = {
        "section": "settings",
        "method": method,
        "what": described(method),
        "rules": method.rules.order_by("urgency", "delay_minutes"),
        "is_last": method.is_usable and not others.exists(),
    }
    return render(request, "notifications/settings_remove.html", context)


# --- the test -------------------------------------------------------------------------------------------------
@own("POST")
def send_test(request, pk):
    method = _mine(request, pk)
    try:
        notification = probes.send_test(method, by=request.user, now=timezone.now())
    except DomainError as error:
        messages.error(request, error.message)
        return _back(method)
    return _back(method, test=notification.uuid)


@own("GET", "HEAD")
def test(request, uuid):
    """What became of a test, as the part of the page that shows it."""
    notification = get_object_or_404(Notification, uuid=uuid, user=request.user, kind=Kind.TEST.value)
    return render(request, "notifications/_outcome.html", {"test": _outcome(notification, request.user)})


def _test(request, user):
    """The test that the address of the page names, if it is one of mine."""
    text = request.GET.get("test", "")
    try:
        found = Notification.objects.filter(uuid=text, user=user, kind=Kind.TEST.value).first() if text else None
    except ValidationError:
        found = None
    return _outcome(found, user) if found else None


CHIPS = {probes.DELIVERED: "resolved", probes.ACCEPTED: "sent", probes.FAILED: "failed", probes.NO_RECEIPT: "failed"}


def _outcome(notification, user):
    state, sentence = probes.outcome(notification, now=timezone.now(), tz=zone_of(user.time_zone))
    return {
        "notification": notification,
        "state": state,
        "sentence": sentence,
        "chip": CHIPS.get(state, "pending"),
        "is_over": probes.is_over(notification),
    }


# --- rules, quiet hours, profile ------------------------------------------------------------------------------
def _save(request, form, said, place):
    """Save a form of the page, or show the page with what is wrong in it."""
    if not (form.is_valid() and _is_saved(form)):
        return show(request, refused=form)
    messages.success(request, said)
    return redirect(f"{reverse('settings')}#{place}")


@own("POST")
def add_rule(request, urgency):
    if urgency not in Urgency.values:
        raise Http404
    form = RuleForm(request.POST, key=f"rule-{urgency}", user=request.user, urgency=urgency)
    return _save(request, form, "The rule is added.", f"rules-{urgency}")


@own("POST")
def change_rule(request, pk):
    rule = get_object_or_404(NotificationRule.objects.select_related("contact_method"), pk=pk, user=request.user)
    form = RuleForm(request.POST, key=f"delay-{rule.pk}", user=request.user, urgency=rule.urgency, rule=rule)
    return _save(request, form, "The rule is changed.", f"rules-{rule.urgency}")


@own("POST")
def remove_rule(request, pk):
    rule = get_object_or_404(NotificationRule, pk=pk, user=request.user)
    rule.delete()
    messages.success(request, "The rule is removed.")
    return redirect(f"{reverse('settings')}#rules-{rule.urgency}")


@own("POST")
def add_quiet(request):
    form = QuietForm(request.POST, key="quiet", user=request.user)
    return _save(request, form, "The quiet hours are added.", "quiet-hours")


@own("POST")
def remove_quiet(request, pk):
    get_object_or_404(QuietHours, pk=pk, user=request.user).delete()
    messages.success(request, "The quiet hours are removed.")
    return redirect(f"{reverse('settings')}#quiet-hours")


@own("POST")
def save_profile(request):
    form = ProfileForm(request.POST, key="profile", user=request.user)
    return _save(request, form, "Your profile is saved.", "profile")
