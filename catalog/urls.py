from django.urls import path

from catalog.views import oncall, services

urlpatterns = [
    path("oncall", oncall.oncall, name="oncall"),
    path("oncall/availability", oncall.availability, name="availability"),
    path("services", services.services, name="services"),
]
