"""Time zones by their IANA names, as people and rows give them. Pure."""

import zoneinfo


def zone_or_none(name):
    """The zone of this name, or None when there is none."""
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def zone_of(name):
    """The zone of this name; UTC where there is none, since a time in UTC beats no time."""
    return zone_or_none(name) or zoneinfo.ZoneInfo("UTC")
