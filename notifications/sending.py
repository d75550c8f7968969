"""Send many messages at once, in threads. Plain values in, plain values out: nothing here touches the database.

Messages wait in *lanes*: what may get stuck together, such as one webhook host or the mail server. Threads take from
the lanes in turn and a lane may hold only some of them, so one dead host cannot stop the rest.
"""

import collections
import concurrent.futures
import dataclasses
import datetime
import logging
import queue
import threading
import time
import uuid

from core.errors import SendError
from notifications import links
from notifications.channels.base import DeadAddress, Outgoing
from notifications.message import Message

logger = logging.getLogger(__name__)

THREADS, LANE_THREADS = 32, 16
STUCK_SECONDS = 3  # a full lane whose oldest send takes longer than this hands its waiting messages back
WAIT_SECONDS = 25  # and so does a message that waited this long: its lease of 60 s must cover the send as well
LATE = datetime.timedelta(seconds=60)


@dataclasses.dataclass(frozen=True)
class Job:
    """One claimed message with all that sending it needs."""

    pk: int
    lease_token: uuid.UUID
    uuid: uuid.UUID
    topic: str
    user_id: int
    channel: object
    contact_method_id: int
    address: str
    secret: str
    person: str
    message: Message
    attempt: int
    planned_at: datetime.datetime
    is_possible_repeat: bool


@dataclasses.dataclass(frozen=True)
class Sent:
    """How a try ended. `error` is None when it worked."""

    job: Job
    at: datetime.datetime
    provider_id: str = ""
    error: SendError | None = None

    @property
    def address_is_dead(self):
        return isinstance(self.error, DeadAddress)


def outgoing(job, at):
    """The message as the channel gets it: links made, and a word about lateness or a possible repeat."""
    return Outgoing(
        message=job.message,
        uuid=job.uuid,
        topic=job.topic,
        person=job.person,
        at=at,
        attempt=job.attempt,
        links=tuple((action.label, links.url(job.uuid, action.verb)) for action in job.message.actions),
        notes=tuple(notes(job, at)),
        secret=job.secret,
    )


def notes(job, at):
    """What the reader must know about this copy of the message."""
    late = at - job.planned_at
    if late > LATE:
        hours, minutes = divmod(int(late.total_seconds()) // 60, 60)
        span = f"{hours} h {minutes} min" if hours else f"{minutes} min"
        due_at = job.planned_at.astimezone(datetime.UTC)
        yield f"This page is {span} late: it was due on {due_at:%d %B at %H:%M} UTC."
    if job.is_possible_repeat:
        yield (
            "You may have received this page before: the worker that sent it stopped before it could note the result."
        )


def send(job, clock):
    """Send one message and return how it ended. Never raises."""
    at = clock()
    try:
        provider_id = job.channel.send(job.address, outgoing(job, at))
        return Sent(job, clock(), provider_id=str(provider_id or ""))
    except SendError as error:
        return Sent(job, clock(), error=error)
    except Exception as error:  # one broken channel must not stop the rest
        logger.exception("Channel %s broke on notification %s", job.channel.kind, job.pk)
        text = f"The channel {job.channel.label} broke: {type(error).__name__}. The log has the details."
        return Sent(job, clock(), error=SendError(text))


@dataclasses.dataclass
class _Lane:
    waiting: collections.deque = dataclasses.field(default_factory=collections.deque)  # (job, added)
    running: dict = dataclasses.field(default_factory=dict)  # job -> started


class Lanes:
    """The sends of one worker. `add` jobs, take `results`, `give_back` those that had better wait in the database.

    `drop` takes out those that nobody wants any more.
    """

    def __init__(self, clock, *, threads=THREADS, lane_threads=LANE_THREADS):
        self.clock = clock
        self.threads, self.lane_threads = threads, lane_threads
        self._lanes = {}
        self._lock = threading.Lock()
        self._busy_threads = 0
        self._ended = queue.SimpleQueue()
        self._unread = 0  # jobs taken in whose result nobody has read
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="send")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self._lock:
            self._lanes.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def is_busy(self):
        return self._unread > 0

    @property
    def waiting(self):
        with self._lock:
            return sum(len(lane.waiting) for lane in self._lanes.values())

    def waiting_pks(self):
        with self._lock:
            return [job.pk for lane in self._lanes.values() for job, _ in lane.waiting]

    def add(self, jobs):
        with self._lock:
            for job in jobs:
                lane = self._lanes.setdefault(job.channel.lane(job.address), _Lane())
                lane.waiting.append((job, time.monotonic()))
            self._unread += len(jobs)
            new = min(self.threads - self._busy_threads, len(jobs))
            self._busy_threads += new
        for _ in range(new):
            self._pool.submit(self._work)

    def results(self, timeout):
        """What has ended: wait up to `timeout` seconds for the first, then take all there are."""
        ended = []
        try:
            ended.append(self._ended.get(timeout=timeout))
            while True:
                ended.append(self._ended.get_nowait())
        except queue.Empty:
            pass
        self._unread -= len(ended)
        return ended

    def give_back(self, *, everything=False):
        """Take out and return the waiting jobs that should not wait here: of stuck lanes, too old, or everything."""
        now, back = time.monotonic(), []
        with self._lock:
            for lane in self._lanes.values():
                is_stuck = len(lane.running) >= self.lane_threads and now - min(lane.running.values()) > STUCK_SECONDS
                while lane.waiting and (everything or is_stuck or now - lane.waiting[0][1] > WAIT_SECONDS):
                    back.append(lane.waiting.popleft()[0])
            self._unread -= len(back)
        return back

    def drop(self, pks):
        """Take out and return the waiting jobs with these pks; what a thread has taken already is left to it."""
        dropped = []
        with self._lock:
            for lane in self._lanes.values():
                dropped += [job for job, _ in lane.waiting if job.pk in pks]
                lane.waiting = collections.deque(each for each in lane.waiting if each[0].pk not in pks)
            self._unread -= len(dropped)
        return dropped

    def _work(self):
        """A thread: send until no lane has something for it."""
        while taken := self._take():
            name, job = taken
            sent = send(job, self.clock)
            with self._lock:
                lane = self._lanes.get(name)
                if lane:
                    lane.running.pop(job.pk, None)
            self._ended.put(sent)

    def _take(self):
        with self._lock:
            for name, lane in self._lanes.items():
                if lane.waiting and len(lane.running) < self.lane_threads:
                    job, _ = lane.waiting.popleft()
                    lane.running[job.pk] = time.monotonic()
                    self._lanes[name] = self._lanes.pop(name)  # to the end of the row: lanes take turns
                    return name, job
            self._busy_threads -= 1
            return None
