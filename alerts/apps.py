from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "alerts"
    verbose_name = "Alerts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from alerts import beside, receivers, service_states, visibility  # noqa: F401  (listen, tell, say what is hidden)
