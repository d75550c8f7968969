"""Amazon SNS: a topic that signs its messages, and the addresses they name, behind the names of Amazon.

The product trusts hosts of Amazon only, over TLS. So this server has a certificate for such a name, of an authority
that only this process trusts, and `reached` makes the name resolve to it.
"""

import base64
import contextlib
import datetime as dt
import itertools
import json
import os
import socket
import ssl
import tempfile
import uuid

import aiohttp.connector
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.fakes.server import Server

PLAIN = serialization.NoEncryption()
ARN = "arn:aws:sns:eu-west-1:123456789012:oncall-alarms"
_regions = itertools.count(1)


class SNS(Server):
    """Serves its signing certificate, and counts confirmations. `answers` are the statuses of the next ones."""

    def __init__(self):
        # A region of its own: whoever asks again for a name within seconds gets the old address.
        self.host = f"sns.fake-{os.getpid()}-{next(_regions)}.amazonaws.com"
        self.certificate_url = f"https://{self.host}/SimpleNotificationService-{'0' * 32}.pem"
        self.visits, self.answers, self.pem_status = [], [], 200
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.pem = _certificate(self.key, "sns.amazonaws.com").public_bytes(serialization.Encoding.PEM)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.authority = _certificate(key, self.host).public_bytes(serialization.Encoding.PEM)
        self.tls = _context(self.authority, key)
        super().__init__()

    def routes(self, app):
        app.router.add_get("/{path:.*}", self._answer)

    async def _answer(self, request):
        self.visits.append(request.path_qs)
        if request.path.endswith(".pem"):
            return web.Response(status=self.pem_status, body=self.pem)
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, text="<ConfirmSubscriptionResponse/>")

    def message(self, kind="Notification", message="Disk full", *, at=None, version="1", **fields):
        """A signed message as the text of a request."""
        data = {
            "Type": kind,
            "MessageId": str(uuid.uuid4()),
            "TopicArn": ARN,
            "Message": message if isinstance(message, str) else json.dumps(message),
            "Timestamp": (at or dt.datetime.now(dt.UTC)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        }
        if kind != "Notification":
            token = "2336412f37f0d1e2"
            data["Token"] = token
            data["SubscribeURL"] = f"https://{self.host}/?Action=ConfirmSubscription&TopicArn={ARN}&Token={token}"
        data |= fields
        names = sorted(data)
        algorithm = {"1": hashes.SHA1(), "2": hashes.SHA256()}[version]
        signed = "".join(f"{name}\n{data[name]}\n" for name in names).encode()
        signature = self.key.sign(signed, padding.PKCS1v15(), algorithm)
        data |= {
            "SignatureVersion": version,
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": self.certificate_url,
        }
        return json.dumps(data)

    @contextlib.contextmanager
    def reached(self, monkeypatch):
        """Let the name resolve to this server, and its certificate be trusted."""
        look_up = socket.getaddrinfo

        def resolve(host, port, *arguments, **options):
            if host == self.host:
                assert port == 443
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", self.port))]
            return look_up(host, port, *arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", resolve)
            trusting = ssl.create_default_context(cadata=self.authority.decode())
            patch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
            yield self


def _certificate(key, name):
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:60])])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _context(pem, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, PLAIN))
        file.flush()
        context.load_cert_chain(file.name)
    return context
