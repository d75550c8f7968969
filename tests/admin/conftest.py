import html.parser

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
        found = Fields(response.context["opts"].model_name)
        found.feed(response.content.decode())
        return found.data

    return fields


class Fields(html.parser.HTMLParser):
    """Reads the fields of the one form of an admin page. A name that stands there several times has a list."""

    def __init__(self, model_name):
        super().__init__()
        self.form_id, self.is_inside, self.is_without_script = f"{model_name}_form", False, False
        self.data, self.select, self.option, self.textarea = {}, None, None, None

    def put(self, name, value, *, many=False):
        if name in self.data or many:
            there = self.data.get(name, [])
            self.data[name] = [*(there if isinstance(there, list) else [there]), value]
        else:
            self.data[name] = value

    def handle_starttag(self, tag, attributes):
        fields = dict(attributes)
        if tag == "noscript":
            self.is_without_script = True
        elif tag == "form":
            self.is_inside = fields.get("id") == self.form_id
        if not self.is_inside or self.is_without_script or "disabled" in fields:
            return
        name, kind = fields.get("name"), fields.get("type", "text")
        if tag == "input" and name and name != "csrfmiddlewaretoken":
            if kind in ("checkbox", "radio"):
                if "checked" in fields:
                    self.put(name, fields.get("value", "on"))
            elif kind not in ("submit", "button", "file"):
                self.put(name, fields.get("value", ""))
        elif tag == "select" and name:
            self.select = (name, "multiple" in fields, [])
        elif tag == "option" and self.select:
            self.select[2].append((fields.get("value", ""), "selected" in fields))
        elif tag == "textarea" and name:
            self.textarea = (name, [])

    def handle_data(self, data):
        if self.textarea:
            self.textarea[1].append(data)

    def handle_endtag(self, tag):
        if tag == "noscript":
            self.is_without_script = False
        elif tag == "form":
            self.is_inside = False
        elif tag == "select" and self.select:
            name, is_multiple, options = self.select
            chosen = [value for value, is_selected in options if is_selected]
            if not is_multiple:
                chosen = chosen[-1:] or [value for value, _ in options[:1]]
            for value in chosen:
                self.put(name, value, many=is_multiple)
            self.select = None
        elif tag == "textarea" and self.textarea:
            name, parts = self.textarea
            self.put(name, "".join(parts).removeprefix("\n").strip())
            self.textarea = None
