from django.urls import path

from incidents import views
from incidents.replies.links import link

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("incidents/new", views.new, name="incident-new"),
    path("incidents/<int:number>", views.incident, name="incident"),
    path("incidents/<int:number>/do/<slug:verb>", views.act, name="incident-act"),
    path("l/<str:token>", link, name="link"),
]
