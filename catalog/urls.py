from django.urls import path

from catalog import views

urlpatterns = [
    path("oncall", views.oncall, name="oncall"),
    path("oncall/availability", views.availability, name="availability"),
]
