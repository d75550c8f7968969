from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from accounts.views.sign_in import admin_login
from config import health, metrics

admin.site.site_header = admin.site.site_title = "Watchbill"
admin.site.login = admin_login

urlpatterns = [
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url="/static/favicon.svg")),
    path("", include("accounts.urls")),
    path("health", health.alive, name="health"),
    path("health/ready", health.ready, name="ready"),
    path("metrics", metrics.export, name="metrics"),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="api-docs"),
    path("api/v1/", include("config.api")),
    path("", include("automation.urls")),
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
