"""When an alert flaps, and when it has been calm. Pure: values in, values out."""

import datetime as dt


def flaps(ends, *, changes):
    """Whether an alert flaps that opens now and ended so often within the window. `changes` 0: never.

    Its ends are counted, by our clock: senders that give every start of a trouble its first time flap too.
    """
    return bool(changes) and ends + 1 >= changes


def is_calm(changed_at, at, *, seconds):
    """Whether it has stood still for the whole window, so that its end may be believed at once."""
    return at - changed_at >= dt.timedelta(seconds=seconds)


def why(ends, *, seconds, pause):
    """The sentence for its incident."""
    return (
        f"It flaps: it opened {ends + 1} times within {seconds} s. The incident stays open until the alert has been "
        f"over for {pause} s."
    )
