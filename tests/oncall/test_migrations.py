"""What migrations do to rows that are there already."""

import importlib

import pytest
from django.db import connection

from oncall.models import Layer, Participant
from tests import factories

the_time_engine = importlib.import_module("oncall.migrations.0003_the_time_engine")


@pytest.fixture
def migrate(db):
    def run():
        with connection.cursor() as cursor:
            cursor.execute(the_time_engine.ONE_PLACE_EACH)
            cursor.execute(the_time_engine.ONE_POSITION_EACH)

    return run


def test_participants_of_one_position_stay_one_after_the_other(migrate, alice, bob, charlie):
    layer = factories.LayerFactory()
    for user, position in ((charlie, 7), (alice, 0), (bob, 0)):
        factories.ParticipantFactory(layer=layer, user=user, position=position)
    migrate()
    rows = Participant.objects.filter(layer=layer).values_list("user", "position")
    assert list(rows) == [(alice.pk, 0), (bob.pk, 1), (charlie.pk, 2)]


def test_of_layers_with_one_position_the_older_still_wins(migrate):
    schedule = factories.ScheduleFactory()
    older, newer = (factories.LayerFactory(schedule=schedule, position=2) for _ in range(2))
    lowest = factories.LayerFactory(schedule=schedule, position=1)
    gaps = [factories.LayerFactory(schedule=factories.ScheduleFactory(), position=position) for position in (3, 8)]
    migrate()
    assert list(schedule.layers.order_by("position")) == [lowest, newer, older]
    assert [Layer.objects.get(pk=one.pk).position for one in gaps] == [3, 8]
