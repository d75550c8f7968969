"""What all addresses of postmortems share."""

from django.utils import timezone
from django.utils.functional import cached_property
from rest_framework import serializers, status
from rest_framework.response import Response

from accounts.api import PersonField
from accounts.models import User
from accounts.permissions import may
from core.api import problem
from core.errors import NotFound
from core.rest import UUID, ReadViewSet, read_body
from postmortems import writing
from postmortems.models import Postmortem


def person_field(**kwargs):
    """A person to be named in a body, by email or UUID: one whose account is active."""
    return PersonField(queryset=User.objects.filter(is_active=True), **kwargs)


# For the body of a save.
class SeenShape(serializers.Serializer):
    seen_version = serializers.IntegerField(
        min_value=1,
        max_value=2**31 - 1,
        help_text="The version that you read. When it is not the newest, the answer is 409 with both texts.",
    )


class Writes:
    """What all these views do alike."""

    resource = "postmortems"
    sentences = ("text", "said", "body", "summary", "note")

    def caller(self):
        """The arguments that every verb takes from its request."""
        return {"by": self.request.user, "now": timezone.now()}

    def handle_exception(self, error):
        """A refused save carries both texts, so that a program can merge them."""
        if not isinstance(error, writing.Conflict):
            return super().handle_exception(error)
        answer = problem(error.status, "The request was refused", error.message, code=error.code)
        answer.data |= {"mine": error.mine, "theirs": error.theirs, "version": error.version}
        answer.exception = True
        return answer


class Parts(Writes, ReadViewSet):
    """What a postmortem consists of."""

    lookup_field = "uuid"
    lookup_url_kwarg = "id"
    lookup_value_regex = UUID
    http_method_names = ["get", "post", "patch", "delete", "head", "options"]

    @cached_property
    def postmortem(self):
        """The postmortem of the address, if the person sees it."""
        rows = self.request.user.visible(Postmortem.objects.select_related("team"))
        found = rows.filter(pk=self.kwargs["number"]).first()
        if found is None:
            raise NotFound(f"There is no postmortem PM-{self.kwargs['number']}.")
        return found

    def get_queryset(self):
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        rows = rows.filter(postmortem=self.postmortem)
        return rows if self.for_readers is None or self.writes else rows.filter(self.for_readers)

    # Which rows are there for who reads the postmortem and may not change it; None: all.
    for_readers = None

    @cached_property
    def writes(self):
        """Whether the person may change the postmortem."""
        return may(self.request.user, "respond", self.postmortem)

    def number(self):
        """The number of the postmortem, which the person may change."""
        self.check_object_permissions(self.request, self.postmortem)
        return self.postmortem.pk

    def answer(self, row, code=status.HTTP_200_OK):
        """The row as it is now."""
        return Response(self.get_serializer(self.get_queryset().get(pk=row.pk)).data, code)

    def made(self, verb, shape):
        """Add a part by its verb, from the body."""
        given = read_body(shape, self.request)
        return self.answer(verb(self.number(), **given, **self.caller()), status.HTTP_201_CREATED)

    def changed(self, verb, shape=None):
        """Change a part by its verb."""
        row = self.get_object()
        given = read_body(shape, self.request) if shape else {}
        return self.answer(verb(row.uuid, **given, **self.caller()))

    def gone(self, verb):
        """Remove a part by its verb."""
        verb(self.get_object().uuid, **self.caller())
        return Response(status=status.HTTP_204_NO_CONTENT)
