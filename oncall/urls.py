from django.urls import path

from oncall import views

urlpatterns = [path("oncall", views.oncall, name="oncall")]
