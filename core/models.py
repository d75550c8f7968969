"""Rows that every process shares: who is alive, what was counted."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone


class Pulse(models.Model):
    """The last sign of life of a kind of process, for example `ticker`."""

    name = models.CharField(max_length=100, primary_key=True)
    beat_at = models.DateTimeField()

    class Meta:
        verbose_name = "pulse"

    def __str__(self):
        return f"{self.name} at {self.beat_at:%H:%M:%S}"


class WorkerBeat(models.Model):
    """The last task that one worker cluster ran. A cluster without a beat is frozen and is replaced."""

    worker_id = models.CharField(max_length=200, primary_key=True)
    beat_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = "worker beat"

    def __str__(self):
        return self.worker_id


class Counter(models.Model):
    """A number that only grows, kept as a row so that it survives restarts and sums over processes."""

    name = models.CharField(max_length=100)
    labels = models.CharField(max_length=255, blank=True, help_text="As in Prometheus: channel=&quot;email&quot;")
    value = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "labels"], name="one_counter_per_name_and_labels")]

    def __str__(self):
        return f"{self.name}{{{self.labels}}} {self.value}"


class DueRow(models.Model):
    """A row of durable work: due at a time, claimed under a lease. See `core.due`."""

    due_at = models.DateTimeField(null=True, blank=True, help_text="When somebody must look at this row next.")
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        abstract = True


class IdempotencyKey(models.Model):
    """An answer that is kept, so that a request sent twice acts once. See `core.idempotency`."""

    key = models.CharField(max_length=255)
    route = models.CharField(max_length=255, help_text="The address that was posted to.")
    principal = models.CharField(max_length=100, help_text="Who posted: a key of somebody else is another key.")
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    response = models.JSONField(encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name = "idempotency key"
        constraints = [
            models.UniqueConstraint(fields=["principal", "route", "key"], name="one_answer_per_idempotency_key")
        ]

    def __str__(self):
        return f"{self.key} at {self.route}"


class Bucket(models.Model):
    """How much of a limit somebody has used, as the time at which nothing of it is used any more. See `core.buckets`.

    The table is not logged: it is empty after a crash of the database, and costs no write to the log.
    """

    key = models.CharField(max_length=200, primary_key=True, help_text="The limit, and whom it is counted for.")
    full_at = models.FloatField(help_text="Seconds since 1970.")

    class Meta:
        verbose_name = "bucket"

    def __str__(self):
        return self.key
