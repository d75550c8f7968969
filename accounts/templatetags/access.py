"""What the reader of a page may do: `{% may "configure" schedule as may_edit %}`, for links that lead to the admin."""

from django import template

from accounts import permissions

register = template.Library()


@register.simple_tag(takes_context=True)
def may(context, verb, record=None):
    """Whether the reader may do it with the record; without one, with anything at all."""
    user = context["request"].user
    if not user.is_authenticated:
        return False
    return permissions.may_somewhere(user, verb) if record is None else permissions.may(user, verb, record)
