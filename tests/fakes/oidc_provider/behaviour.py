"""What the provider says of a person, and the lies that a test asks it to tell. Also its addresses."""

import json
import time

from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import JsonResponse
from django.urls import include, path
from jwcrypto import jwk, jwt
from oauth2_provider.oauth2_validators import OAuth2Validator

SAID = {
    "sub": "4711",
    "email": "dora@example.com",
    "email_verified": True,
    "name": "Dora Doe",
    "groups": ["staff"],
}
now_said = dict(SAID)


def control(request):
    """Set what is said; what is not named is as at the beginning."""
    now_said.clear()
    now_said.update({**SAID, **json.loads(request.body)})
    return JsonResponse({})


def sign_everybody_in(get_response):
    def middleware(request):
        request.user = get_user_model().objects.get(username="dora")
        return get_response(request)

    return middleware


class Validator(OAuth2Validator):
    oidc_claim_scope = None

    def get_additional_claims(self):
        said = {name: value for name, value in now_said.items() if name != "lie" and value is not None}
        return {name: (lambda request, value=value: value) for name, value in said.items()}

    def finalize_id_token(self, id_token, token, token_handler, request):
        honest = super().finalize_id_token(id_token, token, token_handler, request)
        lie = now_said.get("lie")
        if not lie:
            return honest
        key = request.client.jwk_key
        claims = json.loads(jwt.JWT(jwt=honest, key=key, check_claims={}).claims)
        header = {"alg": "RS256", "kid": key.thumbprint()}
        now = int(time.time())
        if lie == "signature":
            key = jwk.JWK.from_pem(settings.OTHER_KEY.encode())
        elif lie == "algorithm":
            header, key = (
                {"alg": "HS256"},
                jwk.JWK.from_password("guessed by somebody, and long enough for the algorithm"),
            )
        elif lie == "key type":
            header["alg"], key = "ES256", jwk.JWK.generate(kty="EC", crv="P-256")
        elif lie == "another address":  # its user info goes on saying the first one, and vouches for that
            claims = {name: claims[name] for name in claims.keys() - {"email_verified", "groups"}}
            claims["email"] = "alice@example.com"
        else:
            claims |= {
                "nonce": {"nonce": "of another sign-in"},
                "issuer": {"iss": "https://elsewhere.example.com"},
                "audience": {"aud": "another program"},
                "many audiences": {"aud": [claims["aud"], "another program"], "azp": "another program"},
                "old": {"iat": now - 7200, "exp": now - 3600},
                "from the future": {"iat": now + 3600, "exp": now + 7200},
                "half a minute ahead": {"iat": now + 30},
                "half a minute late": {"exp": now - 30},
            }[lie]
        made = jwt.JWT(header=json.dumps(header), claims=json.dumps(claims, default=str))
        made.make_signed_token(key)
        return made.serialize()


urlpatterns = [
    path("control", control),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
