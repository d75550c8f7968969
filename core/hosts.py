"""Names of hosts: that of an address, and whether it is this machine's own. Knows no settings, which use it."""

import ipaddress
from urllib.parse import urlsplit


def of(url):
    """The host of an address as ALLOWED_HOSTS wants it, with brackets around an IPv6 address; "" if there is none."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return f"[{host}]" if ":" in host else host


def is_loopback(host):
    """Whether only this machine can mean this host, or listen on this address."""
    host = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def origin_of(url):
    """Scheme, host and port of a web address as a browser names them; "" if it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    return f"{parts.scheme}://{of(url)}{f':{port}' if port else ''}"
