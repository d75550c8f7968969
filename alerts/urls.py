from django.urls import path

from alerts import views

app_name = "alerts"
urlpatterns = [path("incidents/<int:number>/alerts", views.panel, name="panel")]
