"""OpenID Connect, the strict half: what is sent to a provider, and what of its answer is believed.

The code flow with PKCE, a state and a nonce (OpenID Connect Core 1.0, RFC 7636). The ID token is always checked:
signature by the provider's published keys, issuer, audience, times with a minute of skew, nonce. Sessions and accounts
are django-allauth's; see docs/decisions/0011-sign-in.md for why this part is not.
"""

import base64
import dataclasses
import hashlib
import hmac
import re
import secrets
import threading
import time
from urllib.parse import quote, urlencode, urlsplit

import jwt
from allauth.socialaccount.models import SocialApp
from django.conf import settings

from core import http
from core.errors import DomainError, NotFound, SendError

# Signatures with a public key only: with HS256 the client secret would do, and with none anything.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
SKEW_SECONDS = 60
KEEP_SECONDS = 300  # how long what a provider says of itself is believed without asking again
TIMEOUT_SECONDS = 10
BODY_BYTES = 512 * 1024
SLUG = re.compile(r"[-\w]+", re.ASCII)
PENDING = "oidc_pending"  # in the session: what was sent, by state
PENDING_SECONDS, PENDING_COUNT = 600, 5


@dataclasses.dataclass(frozen=True)
class Provider:
    """A provider of single sign-on, as the settings have it."""

    id: str
    issuer: str
    client_id: str
    client_secret: str = dataclasses.field(default="", repr=False)
    name: str = "single sign-on"
    scopes: str = "openid profile email"
    groups_claim: str = "groups"
    email_domains: tuple = ()
    trusts_email: bool = False
    asks_second_factor: bool = False

    @property
    def app(self):
        """The provider as django-allauth wants it: a row that is never saved."""
        return SocialApp(provider="openid_connect", provider_id=self.id, name=self.name, client_id=self.client_id)

    def uid(self, subject):
        """What a person of this provider is stored under. It has the issuer in it: another one's people are others."""
        return hashlib.sha256(f"{self.issuer.rstrip('/')}\n{subject}".encode()).hexdigest()


class SignInRefused(DomainError):
    """Signing in through a provider did not work; the text says why and what else to do."""

    code = "sign_in_refused"


class ProviderDown(SignInRefused):
    """The provider cannot be reached, or says nonsense."""


def providers():
    """The providers of the settings."""
    return [
        Provider(**{name: tuple(value) if isinstance(value, list) else value for name, value in one.items()})
        for one in settings.OIDC_PROVIDERS
        if not problem_with(one)
    ]


def problem_with(one):
    """What is wrong with a provider of the settings, in a sentence, or ""."""
    known = {field.name for field in dataclasses.fields(Provider)}
    if not isinstance(one, dict):
        return "each must be an object with at least id, issuer and client_id."
    if unknown := sorted(set(one) - known):
        return f"there is no field {', '.join(unknown)}; there are {', '.join(sorted(known))}."
    if missing := [name for name in ("id", "issuer", "client_id") if not one.get(name)]:
        return f"{', '.join(missing)} must be set."
    if not SLUG.fullmatch(str(one["id"])):
        return f"the id “{one['id']}” stands in an address: use letters, digits, - and _ only."
    address = urlsplit(str(one["issuer"]))
    if address.scheme != "https" and address.hostname not in ("127.0.0.1", "localhost", "::1"):
        return f"the issuer “{one['issuer']}” must begin with https://, or anybody on the way could be anybody."
    return ""


def provider_of(provider_id):
    """The provider with this id. Raises NotFound."""
    for one in providers():
        if one.id == provider_id:
            return one
    raise NotFound("There is no such way to sign in any more. Use one that this page offers.")


def begin(provider, session, *, callback, next_url, now):
    """Return the address to send the browser to, and note in the session what to expect back."""
    about = _discover(provider)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    pending = {
        key: one for key, one in session.get(PENDING, {}).items() if now.timestamp() - one["at"] < PENDING_SECONDS
    }
    for key in sorted(pending, key=lambda key: pending[key]["at"])[: max(0, len(pending) - PENDING_COUNT + 1)]:
        del pending[key]
    pending[state] = {
        "provider": provider.id,
        "nonce": nonce,
        "verifier": verifier,
        "next": next_url,
        "at": now.timestamp(),
    }
    session[PENDING] = pending
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": callback,
        "scope": provider.scopes,
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    endpoint = about["authorization_endpoint"]
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"


def take_pending(provider, session, state, *, now):
    """What was noted under this state, once. Raises SignInRefused when this browser did not ask for it."""
    pending = dict(session.get(PENDING, {}))
    one = pending.pop(state, None)
    session[PENDING] = pending
    if one is None or one["provider"] != provider.id or now.timestamp() - one["at"] > PENDING_SECONDS:
        raise SignInRefused(
            "This answer of the provider belongs to no sign-in that began here, or it took too long. "
            "Press the button once more."
        )
    return one


def claims_for(provider, code, pending, *, callback, issuer=""):
    """Trade the code for what the provider says of the person: the checked claims. Raises SignInRefused."""
    about = _discover(provider)
    if issuer and issuer != about["issuer"]:  # RFC 9207: the answer names another provider than was asked
        raise _unbelievable(provider, "it names another issuer")
    tokens = _trade(provider, about, code, pending["verifier"], callback)
    claims = _checked(provider, about, tokens.get("id_token", ""), pending["nonce"])
    wanted = {"email", provider.groups_claim.partition(".")[0]}
    if about.get("userinfo_endpoint") and tokens.get("access_token") and not wanted.issubset(claims):
        more = _json(provider, http.get, about["userinfo_endpoint"], headers=_bearer(tokens["access_token"]))
        if more.get("sub") != claims["sub"]:
            raise _unbelievable(provider, "its user info is about somebody else")
        if claims.get("email", more.get("email")) != more.get("email"):
            more.pop("email_verified", None)  # it vouches for another address
        claims = {**more, **claims}
    return claims


def groups_in(provider, claims):
    """The groups that the claims name, or None when the provider says that they do not fit into the answer."""
    value = claims
    for part in provider.groups_claim.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None and provider.groups_claim in claims.get("_claim_names", {}):
        return None
    if isinstance(value, str):
        value = [value]
    return [str(one) for one in value] if isinstance(value, list) else []


def _bearer(token):
    return {"Authorization": f"Bearer {token}"}


def _trade(provider, about, code, verifier, callback):
    data = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier}
    headers = {"Accept": "application/json"}
    if "client_secret_post" in about.get("token_endpoint_auth_methods_supported", ()):
        data |= {"client_id": provider.client_id, "client_secret": provider.client_secret}
    else:  # RFC 6749, 2.3.1: both are form-encoded before they are joined
        pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return _json(provider, http.post, about["token_endpoint"], data=data, headers=headers)


def _checked(provider, about, token, nonce):
    """The claims of an ID token that stood every check of OpenID Connect Core 1.0, 3.1.3.7."""
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError("the algorithm is not one for public keys")
        claims = jwt.decode(
            token,
            key=_key(provider, about, header),
            algorithms=[header["alg"]],
            issuer=about["issuer"],
            audience=provider.client_id,
            leeway=SKEW_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except jwt.PyJWTError as error:
        raise _unbelievable(provider, str(error)) from None
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise _unbelievable(provider, "the nonce is not the one that was sent")
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if claims.get("azp", provider.client_id) != provider.client_id or (len(audience) > 1 and "azp" not in claims):
        raise _unbelievable(provider, "it was issued for another program")
    return claims


def _key(provider, about, header):
    """The published key that the header names. Unknown ones are looked up anew once, because keys are changed."""
    wanted = KEY_TYPES[header["alg"][:2]]
    for fresh in (False, True):
        keys = jwt.PyJWKSet.from_dict(_document(provider, about["jwks_uri"], fresh=fresh)).keys
        fitting = [one for one in keys if one.public_key_use in (None, "sig") and one.key_type == wanted]
        if "kid" in header:
            fitting = [one for one in fitting if one.key_id == header["kid"]]
        if len(fitting) == 1:
            return fitting[0].key
    raise jwt.InvalidKeyError("no published key made the signature")


def _discover(provider):
    """What the provider says of itself (OpenID Connect Discovery 1.0)."""
    about = _document(provider, f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration")
    needed = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
    if not all(isinstance(about.get(name), str) for name in needed):
        raise _down(provider)
    if about["issuer"].rstrip("/") != provider.issuer.rstrip("/"):
        raise _unbelievable(provider, "it says that it is another issuer than the settings name")
    return about


_documents, _lock = {}, threading.Lock()


def _document(provider, url, *, fresh=False):
    """A document that the provider publishes, kept in this process for a few minutes."""
    with _lock:
        document, at = _documents.get(url, (None, 0))
    if document is None or fresh or time.monotonic() - at > KEEP_SECONDS:
        document = _json(provider, http.get, url, headers={"Accept": "application/json"})
        with _lock:
            _documents[url] = document, time.monotonic()
    return document


def _json(provider, call, url, **arguments):
    try:
        reply = call(url, timeout=TIMEOUT_SECONDS, body_bytes=BODY_BYTES, **arguments)
        if not reply.is_success:
            raise SendError(f"it answered {reply.status}")
        found = reply.json
    except SendError as error:
        raise _down(provider, error.message) from None
    if not isinstance(found, dict):
        raise _down(provider)
    return found


def _down(provider, reason="it does not answer as a provider does"):
    return ProviderDown(
        f"{provider.name} cannot be used now: {reason.rstrip('.')}. Try again in a minute. If it cannot wait, sign in "
        "below with a password, if your account has one here."
    )


def _unbelievable(provider, reason):
    return SignInRefused(
        f"The answer of {provider.name} is not to be believed: {reason}. Try again; if it stays so, tell an admin."
    )
