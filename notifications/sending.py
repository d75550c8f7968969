"""Send many messages at once. Plain values in, plain values out: nothing here touches the database.

Messages wait in *lanes*: what may get stuck together, such as one webhook host or the mail server. Senders take from
the lanes in turn and a lane may hold only some of them, so one dead host cannot stop the rest. A sender is a thread,
or, for a channel that has `send_async`, a coroutine on the event loop of `core.http`, which costs much less.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
import datetime
import logging
import queue
import threading
import time
import uuid

from core import http
from core.errors import SendError
from notifications import links
from notifications.channels.base import Accepted, DeadAddress, Outgoing
from notifications.message import CALLS, Message

logger = logging.getLogger(__name__)

THREADS, LANE_THREADS = 96, 16  # when several services hang at once, the others still have threads
COROUTINES, LANE_COROUTINES = 384, 32  # within the connections of core.http: in all, and to one host
GATHER_SECONDS = 0.05  # results are read in groups, because each group is a transaction
STUCK_SECONDS = 3  # a full lane whose oldest send takes longer than this hands its waiting messages back
WAIT_SECONDS = 25  # and so does a message that waited this long: its lease of 60 s must cover the send as well
LATE = datetime.timedelta(seconds=60)
OUTSIDE = "outside:"


@dataclasses.dataclass(frozen=True)
class Job:
    """One claimed message with all that sending it needs."""

    pk: int
    lease_token: uuid.UUID
    uuid: uuid.UUID
    topic: str
    plan_key: str
    user_id: int | None
    channel: object
    contact_method_id: int | None
    address: str
    shown: str
    secret: str
    person: str
    message: Message
    attempt: int
    planned_at: datetime.datetime
    is_possible_repeat: bool
    destination_id: int | None = None
    options: dict = dataclasses.field(default_factory=dict)
    account: object = None  # providers.Account, or None where the channel needs none
    route: object = None  # providers.Route: the account among others, and what a failure leads to
    previous: dict | None = None
    reply_code: str = ""
    last_error: str = ""  # of the try before, or why it had to wait
    is_outside: bool = False

    @property
    def lane(self):
        """What may get stuck together. All readers outside share one lane, so that they never hold many senders."""
        return f"{OUTSIDE}{self.channel.kind}" if self.is_outside else self.channel.lane(self.address)

    @property
    def provider(self):
        """Names the account in attempts."""
        return self.account.key if self.account else ""


@dataclasses.dataclass(frozen=True)
class Sent:
    """How a try ended. `error` is None when it worked."""

    job: Job
    at: datetime.datetime
    accepted: Accepted | None = None
    error: SendError | None = None
    called_at: datetime.datetime | None = None

    @property
    def address_is_dead(self):
        return isinstance(self.error, DeadAddress)


def outgoing(job, at):
    """The message as the channel gets it: links made, and a word about lateness or a possible repeat."""
    actions = [(action.label, action.verb, links.token(job.uuid, action.verb)) for action in job.message.actions]
    return Outgoing(
        message=job.message,
        uuid=job.uuid,
        topic=job.topic,
        person=job.person,
        at=at,
        attempt=job.attempt,
        links=tuple((label, links.address(token)) for label, _, token in actions),
        tokens=tuple(actions),
        notes=() if job.is_outside else tuple(notes(job, at)),  # they read when it was in the text
        secret=job.secret,
        config=job.account.config if job.account else {},
        options=job.options,
        previous=job.previous,
        reply_code=job.reply_code,
        is_outside=job.is_outside,
    )


def notes(job, at):
    """What the reader must know about this copy of the message."""
    late = at - job.planned_at
    if late > LATE:
        hours, minutes = divmod(int(late.total_seconds()) // 60, 60)
        span = f"{hours} h {minutes} min" if hours else f"{minutes} min"
        due_at = job.planned_at.astimezone(datetime.UTC)
        what = "page" if job.message.kind in CALLS else "message"
        why = job.last_error or "No worker took it before."
        yield f"This {what} is {span} late: it was due on {due_at:%d %B at %H:%M} UTC. {why}"
    if job.is_possible_repeat:
        yield (
            "You may have received this page before: the worker that sent it stopped before it could note the result."
        )


def send(job, clock):
    """Send one message and return how it ended. Never raises."""
    at = clock()
    try:
        said = job.channel.send(job.address, outgoing(job, at))
    except Exception as error:  # one broken channel must not stop the rest
        return _failed(job, clock(), at, error)
    return _accepted(job, clock(), at, said)


async def send_async(job, clock):
    """The same for a channel that has `send_async`, on the event loop of `core.http`."""
    at = clock()
    try:
        said = await job.channel.send_async(job.address, outgoing(job, at))
    except Exception as error:  # see `send`
        return _failed(job, clock(), at, error)
    return _accepted(job, clock(), at, said)


def _accepted(job, at, called_at, said):
    if not isinstance(said, Accepted):
        said = Accepted(str(said or ""))
    return Sent(job, at, accepted=said, called_at=called_at)


def _failed(job, at, called_at, error):
    if not isinstance(error, SendError):
        logger.error("Channel %s broke on notification %s", job.channel.kind, job.pk, exc_info=error)
        error = SendError(f"The channel {job.channel.label} broke: {type(error).__name__}. The log has the details.")
    return Sent(job, at, error=error, called_at=called_at)


@dataclasses.dataclass
class _Lane:
    waiting: collections.deque = dataclasses.field(default_factory=collections.deque)  # (job, added)
    running: dict = dataclasses.field(default_factory=dict)  # pk of a job -> started
    is_ready: bool = False  # stands in the crew's row of lanes that have something to take


class _Crew:
    """Senders of one sort and their lanes: at most `size` at once, and `lane_size` in one lane. Not locked itself."""

    def __init__(self, size, lane_size):
        self.size, self.lane_size = size, lane_size
        self.lanes = {}
        self.busy = 0
        self._ready = collections.deque()

    def add(self, name, job):
        lane = self.lanes.setdefault(name, _Lane())
        lane.waiting.append((job, time.monotonic()))
        self._look(lane)

    def hire(self, most):
        """How many senders to start for so many new jobs. They count as busy from now on."""
        new = min(self.size - self.busy, most)
        self.busy += new
        return new

    def take(self):
        """The next (lane, job), lanes taking turns; or None, and the sender that asked is gone."""
        while self._ready:
            lane = self._ready.popleft()
            lane.is_ready = False
            if lane.waiting and len(lane.running) < self.lane_size:
                job, _ = lane.waiting.popleft()
                lane.running[job.pk] = time.monotonic()
                self._look(lane)
                return lane, job
        self.busy -= 1
        return None

    def end(self, lane, job):
        lane.running.pop(job.pk, None)
        self._look(lane)

    def is_stuck(self, lane, now):
        return len(lane.running) >= self.lane_size and now - min(lane.running.values()) > STUCK_SECONDS

    def _look(self, lane):
        if not lane.is_ready and lane.waiting and len(lane.running) < self.lane_size:
            lane.is_ready = True
            self._ready.append(lane)


class Lanes:
    """The sends of one worker. `add` jobs, take `results`, `give_back` those that had better wait in the database.

    `drop` takes out those that nobody wants any more.
    """

    def __init__(self, clock, *, threads=THREADS, lane_threads=LANE_THREADS):
        self.clock = clock
        self._lock = threading.Lock()
        self._threads = _Crew(threads, lane_threads)
        self._coroutines = _Crew(COROUTINES, LANE_COROUTINES)
        self._ended = queue.SimpleQueue()
        self._unread = 0  # jobs taken in whose result nobody has read
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="send")
        self._loop = None
        self._tasks = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self._lock:
            for lane in self._all_lanes():
                lane.waiting.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._loop:
            self._loop.call_soon_threadsafe(self._cancel)

    @property
    def is_busy(self):
        return self._unread > 0

    @property
    def waiting(self):
        """How many wait, without those of readers outside."""
        with self._lock:
            lanes = [*self._threads.lanes.items(), *self._coroutines.lanes.items()]
            return sum(len(lane.waiting) for name, lane in lanes if not name.startswith(OUTSIDE))

    @property
    def outside(self):
        """How many messages to readers outside wait here or are being sent."""
        with self._lock:
            lanes = [*self._threads.lanes.items(), *self._coroutines.lanes.items()]
            return sum(len(lane.waiting) + len(lane.running) for name, lane in lanes if name.startswith(OUTSIDE))

    def waiting_pks(self):
        with self._lock:
            return [job.pk for lane in self._all_lanes() for job, _ in lane.waiting]

    def _all_lanes(self):
        return [*self._threads.lanes.values(), *self._coroutines.lanes.values()]

    def add(self, jobs):
        quick = [job for job in jobs if job.channel.send_async]
        slow = [job for job in jobs if not job.channel.send_async]
        with self._lock:
            for crew, added in ((self._coroutines, quick), (self._threads, slow)):
                for job in added:
                    crew.add(job.lane, job)
            self._unread += len(jobs)
            coroutines, threads = self._coroutines.hire(len(quick)), self._threads.hire(len(slow))
        if coroutines:
            self._loop = self._loop or http.loop()
            self._loop.call_soon_threadsafe(self._start, coroutines)
        for _ in range(threads):
            self._pool.submit(self._work)

    def results(self, timeout):
        """What has ended: wait up to `timeout` seconds for the first, and a moment more for others to come with it."""
        try:
            ended = [self._ended.get(timeout=timeout)]
        except queue.Empty:
            return []
        if self._unread > 1 + self._ended.qsize():
            time.sleep(GATHER_SECONDS)
        with contextlib.suppress(queue.Empty):
            while True:
                ended.append(self._ended.get_nowait())
        self._unread -= len(ended)
        return ended

    def give_back(self, *, everything=False):
        """Take out and return the waiting jobs that should not wait here: of stuck lanes, too old, or everything."""
        now, back = time.monotonic(), []
        with self._lock:
            for crew in (self._threads, self._coroutines):
                for lane in crew.lanes.values():
                    is_all = everything or crew.is_stuck(lane, now)
                    while lane.waiting and (is_all or now - lane.waiting[0][1] > WAIT_SECONDS):
                        back.append(lane.waiting.popleft()[0])
            self._unread -= len(back)
        return back

    def drop(self, pks):
        """Take out and return the waiting jobs with these pks; what a sender has taken already is left to it."""
        dropped = []
        if not pks:
            return dropped
        with self._lock:
            for lane in self._all_lanes():
                dropped += [job for job, _ in lane.waiting if job.pk in pks]
                lane.waiting = collections.deque(each for each in lane.waiting if each[0].pk not in pks)
            self._unread -= len(dropped)
        return dropped

    def _work(self):
        """A thread: send until no lane has something for it."""
        while taken := self._take(self._threads):
            self._end(self._threads, *taken, send(taken[1], self.clock))

    def _start(self, count):
        """Start coroutines. Runs on the loop, as they do."""
        for _ in range(count):
            task = asyncio.ensure_future(self._work_async())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work_async(self):
        """A coroutine: the same as a thread."""
        while taken := self._take(self._coroutines):
            self._end(self._coroutines, *taken, await send_async(taken[1], self.clock))

    def _cancel(self):
        for task in self._tasks:
            task.cancel()

    def _take(self, crew):
        with self._lock:
            return crew.take()

    def _end(self, crew, lane, job, sent):
        with self._lock:
            crew.end(lane, job)
        self._ended.put(sent)
