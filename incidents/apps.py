from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    name = "incidents"
    verbose_name = "Incidents"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self):
        from incidents import (  # noqa: F401  (listen, tell, say what is hidden)
            history,
            receivers,
            service_states,
            visibility,
        )
