"""Who may read a page, and what is said beside each file of it to browsers and caches."""

import hashlib

from accounts.permissions import may
from core.headers import PERMISSIONS
from statuspages import partners
from statuspages.models import Audience

# Nothing runs on a status page, and nothing is loaded from elsewhere.
HTML_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OTHER_POLICY = "default-src 'none'; frame-ancestors 'none'"
# A reader sees a change within two seconds; whoever has a copy may show it for a day when nobody answers here.
_FRESH = "public, max-age=1, stale-if-error=86400"
_FOR_EVER = "public, max-age=31536000, immutable"
LOGO = "logo"


def reader_of(request, page, *, now):
    """Who reads: "everybody" for a public page, else the person or the partner who may; None: nobody who may."""
    if not page.is_enabled:
        return None
    if page.audience == Audience.PUBLIC:
        return "everybody"
    if request.user.is_authenticated and may(request.user, "read", page):
        return request.user
    if page.audience == Audience.PARTNERS:
        partner = partners.partner_of(request, now=now)
        if partner is not None and partners.may_look(partner, page):
            return partner
    return None


def may_look(request, page, *, now):
    """Whether the request may read the page."""
    return reader_of(request, page, now=now) is not None


def etag(body):
    """The strong validator of a file."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def version(body):
    """What names a file in an address that is kept for ever."""
    return hashlib.sha256(body).hexdigest()[:12]


def headers(path, content_type, *, is_public, is_versioned=False):
    """What is said beside a file of a page. `is_versioned`: its address changes with its content."""
    is_page = content_type.startswith("text/html")
    # Readers of feeds, badges and the API are on other sites.
    is_shared = is_public and not is_page and path not in ("status.css", LOGO, "icon.svg")
    found = {
        "Content-Type": content_type,
        "Cache-Control": (_FOR_EVER if is_versioned else _FRESH) if is_public else "no-store",
        "Content-Security-Policy": HTML_POLICY if is_page else _OTHER_POLICY,
        "Cross-Origin-Resource-Policy": "cross-origin" if is_shared else "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": PERMISSIONS,
    }
    if is_page:
        found["X-Frame-Options"] = "DENY"
    if is_shared:
        found["Access-Control-Allow-Origin"] = "*"
    return found
