"""A mail server on a free port of 127.0.0.1 that keeps every mail, and refuses some addresses."""

import contextlib
import email
import email.policy

from aiosmtpd.controller import Controller


class _OnFreePort(Controller):
    """Port 0 lets the system choose; aiosmtpd then has to be told which one it was."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class MailServer:
    """Refuses `gone@…` for good (550), `later@…` for now (451), and the content of mail to `full@…` (552)."""

    def __init__(self):
        self.mails = []  # email.message.EmailMessage
        self.recipients = []
        self.senders = []  # of the envelopes

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 5.1.1 No such person here"
        if address.startswith("later@"):
            return "451 4.7.1 Greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if envelope.rcpt_tos[0].startswith("full@"):
            return "552 5.2.2 Too much"
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.recipients += envelope.rcpt_tos
        self.senders.append(envelope.mail_from)
        return "250 Taken"


@contextlib.contextmanager
def mail_server():
    """Run a mail server for the length of a block; `host` and `port` say where."""
    server = MailServer()
    controller = _OnFreePort(server, hostname="127.0.0.1", port=0)
    controller.start()
    server.host, server.port = controller.hostname, controller.port
    try:
        yield server
    finally:
        controller.stop()
