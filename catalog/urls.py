from django.urls import path

from catalog.views import editing, graph, oncall, services

urlpatterns = [
    path("oncall", oncall.oncall, name="oncall"),
    path("oncall/availability", oncall.availability, name="availability"),
    path("services", services.services, name="services"),
    path("services/graph", graph.graph, name="service-graph"),
    path("services/graph/data", graph.data, name="service-graph-data"),
    path("services/<slug:slug>", services.service, name="service"),
    path("services/<slug:slug>/links", editing.link_add, name="service-link-add"),
    path("services/<slug:slug>/links/<int:pk>", editing.link_change, name="service-link-change"),
    path("services/<slug:slug>/links/<int:pk>/remove", editing.link_remove, name="service-link-remove"),
    path("services/<slug:slug>/dependencies", editing.dependency_save, name="service-dependency-save"),
    path(
        "services/<slug:slug>/dependencies/<int:pk>/remove",
        editing.dependency_remove,
        name="service-dependency-remove",
    ),
]
