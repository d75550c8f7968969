"""What the status pages hear of incidents and of the catalog, and of changes of their own configuration.

Each writes a nudge in the transaction of what changed. What goes with its page needs none.
"""

from django.db import connections
from django.db.models import QuerySet
from django.db.models.signals import m2m_changed, post_delete, post_migrate, post_save, pre_delete
from django.dispatch import receiver
from django.utils import timezone

from catalog.models import Dependency, Service
from incidents.signals import incident_changed, incidents_triggered
from notifications.signals import outside_unreached
from statuspages import copying, exporting, maintenance, subscribing
from statuspages.models import Component, ComponentGroup, Logo, Nudge, Post, Series, StatusPage, Subscriber

# What changes which incidents are open, or how bad they are.
COUNTS = frozenset({"resolve", "merge", "unmerge", "take_in", "let_go"})


@receiver(incidents_triggered)
def look_at_new_incidents(incidents, now, **kwargs):
    copying.nudge_services({one.service_id for one in incidents}, now=now)


@receiver(incident_changed)
def look_at_changed_incident(incident, verb, previous, now, **kwargs):
    """What was merged into it goes on as long as it does, and counts for services of its own."""
    if verb in COUNTS or (verb == "edit" and "severity" in previous):
        merged = incident.merged.order_by().values_list("service_id", flat=True).distinct()
        copying.nudge_services({incident.service_id, *merged}, now=now)


@receiver(post_save, sender=Dependency)
@receiver(post_delete, sender=Dependency)
@receiver(pre_delete, sender=Service)
def look_at_every_page(**kwargs):
    """A nudge for a service would go with it; which pages a service in the middle of a chain means is lost with it."""
    copying.nudge(now=timezone.now())


@receiver(post_migrate)
def draw_every_page_anew(sender, using, plan=(), **kwargs):
    """After an upgrade. Not on the way back, nor while these tables are not there yet."""
    if sender.name != "statuspages" or any(is_backwards for _, is_backwards in plan):
        return
    if Nudge._meta.db_table in connections[using].introspection.table_names():
        copying.redraw(now=timezone.now())


@receiver(pre_delete, sender=StatusPage)
def hold_page(instance, **kwargs):
    """A worker that computes the page holds it before its components: who deletes them first would wait crosswise."""
    StatusPage.objects.select_for_update().filter(pk=instance.pk).first()


@receiver(post_save, sender=StatusPage)
def look_at_page(instance, **kwargs):
    copying.nudge(page=instance, now=timezone.now())
    exporting.plan(instance, now=timezone.now())


@receiver(post_save, sender=ComponentGroup)
@receiver(post_save, sender=Component)
@receiver(post_save, sender=Logo)
def look_at_page_of(instance, **kwargs):
    copying.nudge(page=instance.page_id, now=timezone.now())


@receiver(post_delete, sender=ComponentGroup)
@receiver(post_delete, sender=Component)
@receiver(post_delete, sender=Logo)
@receiver(post_delete, sender=Post)
def look_at_page_without(instance, origin, **kwargs):
    if _deleted(origin) is not StatusPage:  # a nudge for a page that goes too would point nowhere
        copying.nudge(page=instance.page_id, now=timezone.now())


@receiver(m2m_changed, sender=Component.services.through)
def look_at_page_with_other_services(instance, action, reverse, **kwargs):
    if action in ("post_add", "post_remove", "post_clear"):
        copying.nudge(page=None if reverse else instance.page_id, now=timezone.now())


@receiver(post_save, sender=Series)
def plan_announcements(instance, **kwargs):
    maintenance.plan_announcement(instance, now=timezone.now())


@receiver(outside_unreached)
def end_lost_subscription(destination_id, notification_id, is_dead, reason, now, **kwargs):
    subscribing.unreached(destination_id, notification_id, is_dead=is_dead, reason=reason, now=now)


# What goes together is gathered at what was asked to be deleted: all of it is announced before any of it is gone.
@receiver(pre_delete, sender=Subscriber)
def remember_address(instance, origin, **kwargs):
    origin.__dict__.setdefault("left_addresses", []).append(instance.destination_id)


@receiver(post_delete, sender=Subscriber)
def forget_addresses(origin, **kwargs):
    if addresses := origin.__dict__.pop("left_addresses", ()):
        subscribing.forget_addresses(addresses)


@receiver(pre_delete, sender=Component)
def remember_who_chose_it(instance, origin, **kwargs):
    if _deleted(origin) is not StatusPage:
        chosen = origin.__dict__.setdefault("left_readers", set())
        chosen.update(instance.subscribers.values_list("pk", flat=True))


@receiver(post_delete, sender=Component)
def end_subscriptions_to_nothing(origin, **kwargs):
    if readers := origin.__dict__.pop("left_readers", ()):
        subscribing.end_without_components(readers, now=timezone.now())


def _deleted(origin):
    """The model of which rows are deleted; others go with them."""
    return origin.model if isinstance(origin, QuerySet) else type(origin)
