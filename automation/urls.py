from django.urls import path

from automation.views import proposals

app_name = "automation"
urlpatterns = [
    path("incidents/<int:number>/proposals", proposals.panel, name="proposals"),
    path(
        "incidents/<int:number>/proposals/<slug:kind>/<uuid:uuid>/<slug:verdict>",
        proposals.review,
        name="proposal-review",
    ),
    path("l/<str:token>/proposals", proposals.link_panel, name="link-proposals"),
    path(
        "l/<str:token>/proposals/<slug:kind>/<uuid:uuid>/<slug:verdict>",
        proposals.link_review,
        name="link-proposal-review",
    ),
]
