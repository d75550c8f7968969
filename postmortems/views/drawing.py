"""Images of postmortems: taken in from the editor, and shown to whoever may read the text around them."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from core.errors import DomainError
from postmortems import images
from postmortems.views import finding

# An image is never changed, so a browser may keep it; nobody between may.
KEPT = "private, max-age=86400, immutable"


@login_required
@never_cache
@require_POST
def upload(request, number):
    """Take an image in. Answers the editor with its Markdown, and a form with a message that says it."""
    finding.writable(request, number)
    wants_json = request.headers.get("Accept", "").startswith("application/json")
    file = request.FILES.get("image")
    try:
        if file is None:
            raise DomainError("Choose an image file first.")
        body = file.read(images.MOST_BYTES + 1)  # one more is refused, however much more there is
        made = images.add(number, name=file.name, body=body, by=request.user, now=timezone.now())
    except DomainError as error:
        if wants_json:
            return JsonResponse({"message": error.message}, status=error.status)
        messages.error(request, error.message)
    else:
        if wants_json:
            return JsonResponse({"markdown": images.markdown(made), "uuid": str(made.uuid)}, status=201)
        messages.success(request, f"The image is stored. Copy this line to where it belongs: {images.markdown(made)}")
    return redirect(reverse("postmortems:edit", args=[number]) + "#images-head")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def image(request, number, uuid):
    """The bytes of an image; a form removes it."""
    if request.method == "POST":
        found = finding.writable(request, number)
        get_object_or_404(found.images.defer("body"), uuid=uuid)
        finding.do(request, "The image is removed. Its description stands where it was.", images.remove, uuid)
        return redirect(reverse("postmortems:edit", args=[number]) + "#images-head")
    found = finding.readable(request, number)
    return served(get_object_or_404(found.images, uuid=uuid))


def served(image, *, keeps=True):
    """An image as an answer that no browser takes for anything else. One behind a link ends with it: `keeps=False`."""
    answer = HttpResponse(bytes(image.body), content_type=image.content_type)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer.headers["Content-Disposition"] = "inline"
    answer.headers["Cache-Control"] = KEPT if keeps else "no-store"
    return answer
