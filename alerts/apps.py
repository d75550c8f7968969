from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "alerts"
    verbose_name = "Alerts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from alerts import (  # noqa: F401  (listen, tell, say what is hidden)
            beside,
            history,
            receivers,
            service_states,
            visibility,
        )
