"""The weekly windows of a layer as a field: rows of days, an opening and a closing."""

import re

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string

from core.admin_fields import select_widget, time_widget
from oncall.models import Restriction, Weekday

PARTS = ("days", "opens", "closes", "until")
MOST_WINDOWS = 50
SAME_OR_NEXT_DAY = ("", "the same or next day")


class WindowsWidget(forms.Widget):
    """Its value is a list of rows as they arrive: {"days": ["4"], "opens": "18:00", "closes": "8:00", "until": ""}."""

    class Media:
        js = ("oncall/admin/windows.js",)

    def value_from_datadict(self, data, files, name):
        found = {}
        pattern = re.compile(rf"{re.escape(name)}-(\d{{1,3}})-({'|'.join(PARTS)})")
        for key in data:
            if match := pattern.fullmatch(key):
                number, part = int(match[1]), match[2]
                row = found.setdefault(number, {"days": [], "opens": "", "closes": "", "until": ""})
                row[part] = data.getlist(key) if part == "days" else data[key].strip()
        return [found[number] for number in sorted(found) if any(found[number].values())][:MOST_WINDOWS]

    def value_omitted_from_data(self, data, files, name):
        return False

    def render(self, name, value, attrs=None, renderer=None):
        rows = []
        for number, row in enumerate([*(value or []), {"days": [], "opens": "", "closes": "", "until": ""}]):
            prefix, label = f"{name}-{number}", f"window {number + 1}"
            closes_on = select_widget([SAME_OR_NEXT_DAY, *Weekday.choices])
            rows.append(
                {
                    "days_name": f"{prefix}-days",
                    "days": [
                        (day, day_name[:2], day_name, str(day) in row["days"]) for day, day_name in Weekday.choices
                    ],
                    "opens": time_widget().render(
                        f"{prefix}-opens", row["opens"], {"aria-label": f"{label.capitalize()} opens at"}
                    ),
                    "closes": time_widget().render(
                        f"{prefix}-closes", row["closes"], {"aria-label": f"{label.capitalize()} closes at"}
                    ),
                    "until": closes_on.render(
                        f"{prefix}-until", row["until"], {"aria-label": f"{label.capitalize()} closes on"}
                    ),
                }
            )
        return render_to_string("admin/oncall/windows.html", {"rows": rows})


class WindowsField(forms.Field):
    """Weekly windows. The value is a list of unsaved restrictions; `oncall.layers` says what is wrong with them."""

    widget = WindowsWidget

    def __init__(self, **options):
        super().__init__(required=False, **options)

    def prepare_value(self, value):
        return [_row(one) if isinstance(one, Restriction) else one for one in value or ()]

    def clean(self, value):
        return [_restriction(number, row) for number, row in enumerate(value or (), start=1)]

    def has_changed(self, initial, data):
        before, after = self.prepare_value(initial), data or []
        return [_face(row) for row in before] != [_face(row) for row in after]


def _row(restriction):
    until = restriction.until_day
    return {
        "days": [str(day) for day in restriction.days],
        "opens": _text(restriction.start_time),
        "closes": _text(restriction.end_time),
        "until": "" if until is None else str(until),
    }


def _text(time):
    return time.isoformat("auto" if time.second or time.microsecond else "minutes")


def _face(row):
    return sorted(set(row["days"])), row["opens"], row["closes"], row["until"]


def _restriction(number, row):
    """The restriction that a row says. Raises ValidationError where it cannot be read."""
    if not row["opens"] or not row["closes"]:
        raise ValidationError(f"Window {number}: say when it opens and when it closes.")
    days = {str(day) for day in Weekday.values}
    if not days.issuperset(row["days"]) or row["until"] not in days | {""}:
        raise ValidationError(f"Window {number}: choose days of the week.")
    try:
        start_time, end_time = (forms.TimeField().clean(row[part]) for part in ("opens", "closes"))
    except ValidationError as error:
        raise ValidationError(f"Window {number}: write times like 09:00.") from error
    return Restriction(
        days=sorted({int(day) for day in row["days"]}),
        start_time=start_time,
        end_time=end_time,
        until_day=int(row["until"]) if row["until"] else None,
    )
