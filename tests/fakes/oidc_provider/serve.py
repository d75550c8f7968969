"""The process of the provider: a small Django of its own. Arguments: home, port, client id, secret, callback."""

import json
import sys
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

HOME, PORT, CLIENT_ID, CLIENT_SECRET, CALLBACK = sys.argv[1:]


def new_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


settings.configure(
    SECRET_KEY="of the provider of the tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": Path(HOME) / "provider.sqlite3",
            "OPTIONS": {"timeout": 20},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "tests.fakes.oidc_provider.behaviour.sign_everybody_in",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    ROOT_URLCONF="tests.fakes.oidc_provider.behaviour",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": new_key(),
        "OIDC_ISS_ENDPOINT": f"http://127.0.0.1:{PORT}/o",
        "OAUTH2_VALIDATOR_CLASS": "tests.fakes.oidc_provider.behaviour.Validator",
        "PKCE_REQUIRED": True,
        "SCOPES": {"openid": "who", "profile": "name", "email": "address"},
    },
    OTHER_KEY=new_key(),
)
django.setup()


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *args):
        """Say nothing: tokens stand in the addresses."""


def main():
    from django.contrib.auth import get_user_model
    from django.core.handlers.wsgi import WSGIHandler
    from django.core.management import call_command
    from oauth2_provider.models import get_application_model

    call_command("migrate", verbosity=0)
    get_user_model().objects.get_or_create(username="dora")
    get_application_model().objects.get_or_create(
        client_id=CLIENT_ID,
        defaults={
            "client_secret": CLIENT_SECRET,
            "client_type": "confidential",
            "authorization_grant_type": "authorization-code",
            "algorithm": "RS256",
            "redirect_uris": CALLBACK,
            "skip_authorization": True,
        },
    )
    with make_server("127.0.0.1", int(PORT), WSGIHandler(), server_class=Server, handler_class=Quiet) as server:
        print(json.dumps({"port": PORT}), flush=True)
        server.serve_forever()


main()
