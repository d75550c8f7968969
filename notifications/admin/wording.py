"""How messages are said: templates that are checked when they are saved, with a preview beside."""

from django.contrib import admin
from django.forms import ModelForm
from django.utils import timezone
from django.utils.html import escape, format_html

from core.admin import Admin, table
from core.admin_fields import lines_widget
from notifications import wording
from notifications.models import Wording


class WordingForm(ModelForm):
    class Meta:
        model = Wording
        fields = ("kind", "channel", "title", "body", "is_enabled")
        widgets = {"title": lines_widget(2)}

    def clean(self):
        cleaned = super().clean()
        if cleaned.get("kind"):
            values = [cleaned.get(name) or "" for name in ("kind", "channel", "title", "body")]
            for problem in wording.problems(*values):
                self.add_error(None, problem)
        return cleaned


@admin.register(Wording)
class WordingAdmin(Admin):
    """The product has words of its own for everything; what stands here is said instead."""

    form = WordingForm
    list_display = ("kind", "channel_name", "is_enabled", "trouble", "changed_at")
    list_display_links = ("kind", "channel_name")
    list_filter = ("kind", "channel", "is_enabled")
    search_fields = ("title", "body")
    readonly_fields = ("preview", "trouble", "changed_at")

    def get_fieldsets(self, request, obj=None):
        main = (
            (None, {"fields": ("kind", "channel", "is_enabled")}),
            ("Words", {"fields": ("title", "body"), "description": wording.HELP}),
        )
        shown = (("Preview", {"fields": ("preview", "trouble", "changed_at")}),)
        return main + shown if obj else main

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        wording.accept(obj, now=timezone.now())
        wording.accept(obj, now=obj.changed_at)

    @admin.display(description="channel")
    def channel_name(self, obj):
        return obj.get_channel_display() if obj.channel else "every channel"

    @admin.display(description="with a sample message")
    def preview(self, obj):
        shown = wording.preview(obj.kind, obj.channel, obj.title, obj.body)
        # Escaped by hand: a part that came out of a template calls itself safe, and a mail's HTML is to be read here.
        rows = [(name, format_html('<pre class="wb-block">{}</pre>', escape(text))) for name, text in shown.items()]
        return table(("", "text"), rows)
