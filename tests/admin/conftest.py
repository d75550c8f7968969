import pytest
from django.contrib.messages import get_messages

from accounts.models import User


@pytest.fixture
def ada(db):
    """An admin who configures everything."""
    return User.objects.create_superuser("ada@example.com", "correct horse", name="Ada")


@pytest.fixture
def browser(client, ada):
    """Ada's browser."""
    client.force_login(ada)
    return client


@pytest.fixture
def said():
    """What an answer tells the person, as one text."""

    def text(response):
        return " ".join(str(message) for message in get_messages(response.wsgi_request))

    return text


@pytest.fixture
def fields_of(browser):
    """What a browser would send back from a page, unchanged, as a dict to alter."""

    def fields(url):
        response = browser.get(url)
        assert response.status_code == 200, response
        context = response.context
        forms = [context["adminform"].form]
        for inline in context["inline_admin_formsets"]:
            forms += [inline.formset.management_form, *inline.formset.forms]
        data = {}
        for form in forms:
            for bound in form:
                _fill(data, bound)
        return data

    return fields


def _fill(data, bound):
    value = bound.value()
    if value is None or value is False:
        return
    widgets = getattr(bound.field.widget, "widgets", None)
    if widgets:
        for suffix, part in zip(bound.field.widget.widgets_names, bound.field.widget.decompress(value), strict=True):
            data[f"{bound.html_name}{suffix}"] = "" if part is None else str(part)
    elif isinstance(value, (list, tuple)):
        data[bound.html_name] = [str(one) for one in value]
    else:
        data[bound.html_name] = str(value)
