"""Small readers that several sources share: they take what is there and leave the rest."""

from alerts.event import DESCRIPTION_LIMIT, LABEL_NAME_LIMIT, TRIGGER, as_text, clean_key, clean_line, clean_text
from alerts.sources.base import BadEvent


def an_object(data, sender):
    """The body, if it is a JSON object. Raises BadEvent."""
    if not isinstance(data, dict):
        raise BadEvent.about("", f"The body is not a JSON object. Let {sender} send the body of the setup text.")
    return data


def object_in(data, name):
    """The object under this name, or an empty one."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def list_in(data, name):
    """The items of the list under this name; one value alone counts as a list of it, null as none."""
    value = data.get(name)
    if isinstance(value, list):
        return value
    return [] if value is None or value == "" else [value]


def first_line(data, name, limit):
    """The first text of the list (or the only text) under this name, on one line, or ""."""
    return next((line for item in list_in(data, name) if (line := clean_line(item, limit))), "")


def lines_in(data, name):
    """The texts under this name, separated by commas, or None if there is none: for a label."""
    return ", ".join(filter(None, (clean_line(item, 200) for item in list_in(data, name)[:50]))) or None


def paragraphs(*values):
    """A description of these values, an empty line between them; what is said twice is said once."""
    texts = [clean_text(value, DESCRIPTION_LIMIT) for value in values if value is not None]
    return clean_text("\n\n".join(dict.fromkeys(filter(None, texts))), DESCRIPTION_LIMIT)


def key_with(prefix, *values):
    """The dedup key `prefix:value:value`, or "" if one of the values is missing."""
    parts = [clean_key(value) for value in values]
    return clean_key(":".join([prefix, *parts])) if all(parts) else ""


def needed_key(action, key, field):
    """The dedup key, which all but a trigger needs. Raises BadEvent."""
    if not key and action != TRIGGER:
        raise BadEvent.about(field, f'To {action} an alert, send "{field}" as its trigger had it.')
    return key


def filled(data, placeholder):
    """The object without the text values that are placeholders which the sender did not fill.

    `placeholder` is the compiled pattern of a whole value.
    """
    return {
        name: value
        for name, value in data.items()
        if not (isinstance(value, str) and placeholder.fullmatch(value.strip()))
    }


def labels_of_tags(words):
    """`{name: value}` of tags written `name:value`; those without a value stand in one label, `tags`."""
    labels, bare = {}, []
    for word in words:
        name, colon, value = clean_line(word, LABEL_NAME_LIMIT * 10).partition(":")
        if colon and name.strip():
            labels.setdefault(name.strip(), value.strip())
        elif name:
            bare.append(name)
    if bare:
        labels.setdefault("tags", ",".join(bare))
    return labels


def labels_of_pairs(items, name, value):
    """`{name: value}` of a list of objects that hold them under these two names; the first of a name counts."""
    labels = {}
    for item in items:
        if isinstance(item, dict) and item.get(name) not in (None, ""):
            labels.setdefault(as_text(item[name]), as_text(item.get(value)))
    return labels


def label(labels, name):
    """The value of a label whose name may be in any letter case, or ""."""
    return labels.get(name) or next((value for key, value in labels.items() if key.lower() == name), "")
