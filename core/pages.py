"""Pages and their fragments: the parts that a page of the browser fetches anew when something changed.

A fragment is a template `_<name>.html` beside the page's, whose outermost element says `data-fragment="<name>"`. A
request that names fragments (`X-Fragment: head,timeline`, or `?fragment=`) gets only these parts of the same page, and
what there is to say (`django.contrib.messages`) as one more. static/js/fragments.js merges them into the page. A page
that fetches itself because of news (`X-News`) takes no message away from the form that it answers.
"""

import logging
from pathlib import PurePosixPath

from django.core.cache import cache
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers

logger = logging.getLogger(__name__)


def asked(request):
    """The names of the fragments that a request is about; none when it wants the whole page."""
    wanted = request.headers.get("X-Fragment") or request.GET.get("fragment", "")
    return [name for name in dict.fromkeys(wanted.split(",")) if name]


def respond(request, template, context, *, fragments=(), status=200):
    """The whole page, or those of its fragments that the request names. Raises Http404 when it has none of them."""
    wanted = asked(request)
    names = [name for name in wanted if name in fragments]
    if wanted and not names:
        raise Http404
    if names:
        folder = PurePosixPath(template).parent
        parts = [render_to_string(f"{folder}/_{name}.html", context, request) for name in names]
        if "X-News" not in request.headers:
            parts.append(render_to_string("_messages.html", {}, request))
        response = HttpResponse("\n".join(parts), status=status)
    else:
        response = render(request, template, context, status=status)
    patch_vary_headers(response, ["X-Fragment"])
    return response


def recent(key, seconds, work_out):
    """What `work_out()` gave for this key within the last seconds, else what it gives now."""
    try:
        return cache.get_or_set(key, work_out, seconds)
    except Exception:  # a cache that is away must not take the page with it, which says what is wrong
        logger.warning("The cache does not answer: %s is worked out anew.", key, exc_info=True)
        return work_out()
