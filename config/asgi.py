"""The one ASGI application: public status pages and inbound alerts before Django, live pages beside it."""

import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("WATCHBILL_ROLE", "web")  # whichever server loads this
pages = get_asgi_application()  # first: it sets Django up, and what follows needs models

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import get_resolver  # noqa: E402

from alerts import ingest, presence  # noqa: E402
from alerts.door import Door  # noqa: E402
from config import checks  # noqa: E402
from core.bodies import Bodies  # noqa: E402
from core.cors import Cors  # noqa: E402
from incidents.live import socket  # noqa: E402
from statuspages.window import Window  # noqa: E402

checks.refuse_unsafe()
beater = presence.Beater()
door = Door(Bodies(pages), decide=ingest.decide_ids)
application = beater.around(ProtocolTypeRouter({"http": Window(Cors(door)), "websocket": socket}))
if settings.ROLE == "web":
    beater.start()
    # What is loaded now stays for ever. A full garbage collection that walks all of it stops the process for some
    # 80 ms, which an alert or a page would wait; without it, for a few.
    get_resolver().url_patterns  # noqa: B018 - loads all views
    gc.collect()
    gc.freeze()
