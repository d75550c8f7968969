"""Times are typed and shown in the zone of their schedule or person, and the page says which one that is."""

from django.contrib.admin.utils import unquote
from django.utils import timezone
from django.utils.html import format_html

from core.zones import zone_or_none


def shown(at, zone_name):
    """A time in a zone, with the zone's short name: Mon 01 Jun 2026 09:00 CEST."""
    if at is None:
        return "-"
    return format_html(
        '<time datetime="{}">{}</time>',
        at.isoformat(timespec="seconds"),
        f"{at.astimezone(zone_or_none(zone_name) or timezone.get_default_timezone()):%a %d %b %Y %H:%M %Z}",
    )


def _zone_of(rows, pk, path):
    if not (pk.isascii() and pk.isdigit() and len(pk) < 19):
        return None
    return rows.filter(pk=pk).values_list(path, flat=True).first()


class ZoneNamed:
    """For pages and inlines: names the zone of the page, which is known once its schedule or person is."""

    unknown_zone = "that of the schedule"

    def zone_named(self, request):
        return self.unknown_zone if getattr(request, "zone", None) is None else request.zone.key


class Zoned(ZoneNamed):
    """A page whose times are in the zone of the schedule or person that it is about.

    `zone_path` leads there from the row, for example "schedule__time_zone".
    """

    zone_path = "schedule__time_zone"

    def zone_name(self, request, object_id):
        """The zone's name. On a new row: that of the schedule or person which was chosen."""
        if object_id is not None:
            return _zone_of(self.model._base_manager.all(), object_id, self.zone_path)
        owner, _, field = self.zone_path.partition("__")
        chosen = request.POST.get(owner) or request.GET.get(owner) or ""
        rows = self.model._meta.get_field(owner).remote_field.model._base_manager.all()
        return _zone_of(request.user.visible(rows), chosen, field)

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        request.zone = zone_or_none(self.zone_name(request, unquote(object_id) if object_id else None))
        with timezone.override(request.zone or timezone.get_default_timezone()):
            response = super().changeform_view(request, object_id, form_url, extra_context)
            if hasattr(response, "render"):
                response.render()  # its times too are in this zone
            return response
