from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts.views.sign_in import admin_login
from config import docs, guide, health, metrics, palette

admin.site.site_header = admin.site.site_title = "Watchbill"
admin.site.login = admin_login

urlpatterns = [
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url="/static/favicon.svg")),
    path("", include("accounts.urls")),
    path("health", health.alive, name="health"),
    path("health/ready", health.ready, name="ready"),
    path("health/panel", health.panel, name="health-panel"),
    path("metrics", metrics.export, name="metrics"),
    path("docs/", docs.listed, name="docs"),
    path("docs/<path:name>", docs.one, name="doc"),
    path("go", palette.page, name="palette"),
    path("start", guide.page, name="guide"),
    path("start/card", guide.card, name="guide-card"),
    path("start/team", guide.make_team, name="guide-team"),
    path("start/integration", guide.make_integration, name="guide-integration"),
    path("start/test", guide.send_test, name="guide-test"),
    path("start/hide", guide.hide, name="guide-hide"),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="api-docs"),
    path("api/v1/", include("config.api")),
    path("", include("automation.urls")),
    path("", include("statuspages.urls")),
    path("", include("postmortems.urls")),
    path("", include("alerts.urls")),
    path("", include("notifications.urls")),
    path("", include("oncall.urls")),
    path("", include("catalog.urls")),
    path("", include("incidents.urls")),
]

handler400 = "config.errors.bad_request"
handler403 = "config.errors.forbidden"
handler404 = "config.errors.not_found"
handler500 = "config.errors.server_error"
