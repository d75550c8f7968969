"""Text messages, through Twilio. The reader answers in words; see incidents/replies/twilio.py."""

import unicodedata

from django.conf import settings

from notifications import numbers
from notifications.channels.base import Accepted, Channel, Limit
from notifications.message import CALLS, Kind
from notifications.vendors import twilio

MAX_SEGMENTS = 3
PATH = "/twilio/status/sms"
# Seconds after which the network gives up a message: a page that arrives later misleads more than it helps.
VALID_SECONDS = {"high": 15 * 60, "low": 4 * 3600}

# Countries whose numbers cannot send an answer, and those whose carriers drop messages with a web address.
ONE_WAY = ("+91", "+86", "+84", "+502", "+506", "+507")
NO_LINKS = ("+86",)

# GSM 03.38: what fits in 7 bits, and what takes two of them.
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_TWICE = frozenset("\f^{}\\[~]|€")
SAME = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′ʼ`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000\t", " "),
        **dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\ufe0f\u00ad", ""),
        **dict.fromkeys("•·", "*"),
        "…": "...",
        "→": "->",
        "×": "x",
    }
)


class Sms(Channel):
    kind, label = "sms", "SMS"
    vendor = "twilio"
    address_label = "Phone number"
    address_help = "A mobile number with its country code, for example +14155550123"
    takes_replies = True
    receipt_seconds = 60
    per_provider = Limit(20, 1)  # Twilio queues what a number cannot send at once: there it waits without us seeing
    per_address = Limit(10, 60)

    def problem_with(self, address):
        return numbers.problem_with(self.normal(address))

    def normal(self, address):
        return numbers.normal(address)

    def shown(self, address):
        return numbers.shown(address)

    def receipt_wait(self, config):
        return self.receipt_seconds if twilio.can_call_back(config) else None

    def send(self, address, outgoing):
        config = outgoing.config
        number = self.normal(address)
        fields = {"to": number, "body": text(number, outgoing)}
        if config.get("messaging_service_sid"):
            fields["messaging_service_sid"] = config["messaging_service_sid"]
        else:
            fields["from_"] = config.get("from_number")
        if twilio.can_call_back(config):
            fields["status_callback"] = settings.PUBLIC_URL + PATH
        fields["validity_period"] = VALID_SECONDS[outgoing.message.urgency]
        made = twilio.create(twilio.client(config).messages, **fields)
        if made.error_code:
            raise twilio.error_of(made.error_code, made.error_message or "")
        encoding, count = segments(fields["body"])
        answer = f"{made.status}, {count} segment{'s' if count > 1 else ''} {encoding}"
        return Accepted(made.sid, cost=twilio.cost_of(made), answer=answer)


def text(number, outgoing):
    """The one compact message: late or repeated, how bad, what, where, how to answer, and a link."""
    message = outgoing.message
    is_call = message.kind in CALLS
    words = [*outgoing.notes]
    if is_call and message.severity:
        words.append(f"{message.severity.upper()}:")
    words.append(message.title)
    if message.kind == Kind.PAGE:
        service = dict(message.fields).get("Service", "")
        words.append(f"({service})" if service else "")
    elif message.body:
        words.append(f"- {message.body}" if not message.title.endswith((":", ".")) else message.body)
    head = simple(" ".join(" ".join(words).split()))

    tail = []
    code = outgoing.reply_code
    if is_call and code and not number.startswith(ONE_WAY) and twilio.can_call_back(outgoing.config):
        what = " all" if message.kind == Kind.BUNDLE else ""
        tail.append(f"Reply {code}a to acknowledge{what}, {code}r to resolve, {code}e to escalate.")
    if not number.startswith(NO_LINKS) and message.kind != Kind.VERIFICATION:
        link = outgoing.links[0][1] if outgoing.links else message.url
        if link:
            tail.append(link)
    return fit(head, simple(" ".join(tail)))


def simple(text):
    """The text with characters that need two bytes replaced where nothing is lost: quotes, dashes, accents."""
    return "".join(_letter(letter) for letter in text.translate(SAME))


def _letter(letter):
    if letter in GSM or letter in GSM_TWICE:
        return letter
    base = unicodedata.normalize("NFKD", letter)
    plain = "".join(each for each in base if not unicodedata.combining(each))
    return plain if plain and all(each in GSM for each in plain) else letter


def fit(head, tail="", limit=MAX_SEGMENTS):
    """Both texts in one message of at most `limit` segments; the first one is cut for that, the second never."""
    whole = f"{head} {tail}".strip()
    if segments(whole)[1] <= limit:
        return whole
    low, high = 0, len(head)  # the longest beginning that fits
    while low < high:
        middle = (low + high + 1) // 2
        if segments(f"{head[:middle].rstrip()}... {tail}".strip())[1] <= limit:
            low = middle
        else:
            high = middle - 1
    return f"{head[:low].rstrip()}... {tail}".strip()


def segments(text):
    """How a text is sent and charged: ("GSM-7" or "UCS-2", number of segments)."""
    if all(letter in GSM or letter in GSM_TWICE for letter in text):
        return "GSM-7", _count([2 if letter in GSM_TWICE else 1 for letter in text], 160, 153)
    return "UCS-2", _count([2 if ord(letter) > 0xFFFF else 1 for letter in text], 70, 67)


def _count(sizes, alone, part):
    """Segments of letters of these sizes. A letter of two units is never torn apart, so a segment may end early."""
    if sum(sizes) <= alone:
        return 1
    count, used = 1, 0
    for size in sizes:
        if used + size > part:
            count, used = count + 1, 0
        used += size
    return count
