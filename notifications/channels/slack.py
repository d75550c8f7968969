"""Slack, by a bot: messages with buttons, changed in place, and a channel for each incident that wants its own."""

import functools
import logging
import re

from slack_sdk.errors import SlackApiError

from core import http
from core.errors import SendError
from notifications import blocks
from notifications.channels.base import Accepted, AdminNeeded, Channel, DeadAddress, Limit, ProviderBroken
from notifications.message import Kind
from notifications.vendors.slack import client as client_of

logger = logging.getLogger(__name__)

MEMBER, PLACE = re.compile(r"[UW][A-Z0-9]{5,30}"), re.compile(r"[CG][A-Z0-9]{5,30}")
NAME_LENGTH = 80  # of a channel
TOPIC_LENGTH = 250
SUFFIXES = 20

# What the error codes of docs.slack.dev mean for us. A code that is not here may pass: the message is tried again.
OUR_ACCOUNT = {
    "invalid_auth": "does not know our bot token",
    "not_authed": "got no bot token",
    "token_revoked": "says that the bot token was revoked",
    "token_expired": "says that the bot token has expired",
    "account_inactive": "says that the app was removed from the workspace",
    "not_allowed_token_type": "wants another kind of token",
    "org_login_required": "says that the workspace is being moved to an organisation",
    "team_access_not_granted": "says that the app may not use this workspace",
    "ekm_access_denied": "says that the workspace's keys are withheld",
}
DEAD = {
    "channel_not_found": "knows no such channel, or it is private and the app is not in it. Invite the app there",
    "is_archived": "says that the channel is archived. Bring it back, or choose another one",
    "user_not_found": "knows no such member",
    "users_not_found": "knows no such member",
    "user_not_visible": "does not show this member to the app",
    "user_disabled": "says that the member was deactivated",
    "cannot_dm_bot": "says that this is an app and not a person",
}
NOT_IN_CHANNEL = "not_in_channel"
CANNOT_JOIN = frozenset({NOT_IN_CHANNEL, "method_not_supported_for_channel_type"})  # a private one, for example
FOR_ADMINS = {
    "missing_scope": "says that the app lacks a scope. Add it to the app and install it again",
    "no_permission": "says that the app may not do this. Look at its scopes",
    "messages_tab_disabled": "says that the app takes no direct messages. Turn on its Messages tab under App Home",
    "restricted_action": "says that the rules of the workspace do not let the app do this",
    "restricted_action_read_only_channel": "says that the app may not write in this channel",
    "restricted_action_thread_only_channel": "says that only answers may be written in this channel",
    "restricted_action_non_threadable_channel": "says that no answers may be written in this channel",
}
OUR_FAULT = frozenset({"msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format", "no_text"})
GONE_THREAD = frozenset({"thread_not_found", "invalid_thread_ts"})
GONE_MESSAGE = "message_not_found"
CANNOT_CHANGE = frozenset({GONE_MESSAGE, "cant_update_message", "edit_window_closed"})


class Slack(Channel):
    kind, label = "slack", "Slack"
    vendor = "slack"
    is_for_teams = True
    can_update = True
    address_label = "Slack ID"
    address_help = (
        "For a person their member ID, for example U061F7AUR: in Slack open the profile, then ⋮, “Copy member ID”. "
        "For a channel its ID, for example C024BE91L: at the foot of the channel's details."
    )
    # Slack: about one message a second into one channel, short bursts are fine; “several hundred a minute” in all.
    per_address = Limit(5, 5)
    per_provider = Limit(50, 10)

    def problem_with(self, address):
        if MEMBER.fullmatch(address) or PLACE.fullmatch(address):
            return ""
        if address.startswith("#"):
            return (
                f"“{address}” is a name, which may change. Use the channel's ID, at the foot of its details in Slack."
            )
        return (
            f"“{address}” is not a Slack ID. A person's begins with U or W: open the profile in Slack, then ⋮, "
            "“Copy member ID”. A channel's begins with C or G and stands at the foot of its details."
        )

    def preview(self, outgoing):
        return {"Text": blocks.plain(outgoing), "Blocks": blocks.words(outgoing)}

    def send(self, address, outgoing):
        post = _Post(client_of(outgoing.config), outgoing)
        try:
            return post.change() if outgoing.previous and outgoing.previous.get("ts") else post.new(address)
        except SlackApiError as error:
            raise _meaning(error) from None


class _Post:
    """One message on its way."""

    def __init__(self, client, outgoing):
        self.client, self.outgoing, self.message = client, outgoing, outgoing.message
        self.text = blocks.plain(outgoing)

    def new(self, address):
        """Post it. A channel of its own for the incident comes after that, and may fail: the message is out."""
        channel = _direct(self.client, address) if MEMBER.fullmatch(address) else address
        said = self._post(channel)
        data = {"channel": said["channel"], "ts": said["ts"]}
        answer = ""
        if wish := self.message.data.get("slack_channel"):
            opened, answer = self._open_channel(wish)
            data |= opened
        return Accepted(said["ts"], is_delivered=True, data=data, answer=answer)

    def change(self):
        """Bring the earlier message up to date, or write below it, there and in the incident's own channel."""
        before = self.outgoing.previous
        channel, ts = before["channel"], before["ts"]
        data, provider_id, answer = dict(before), ts, ""
        is_note = bool(self.message.data.get("in_thread"))
        if not is_note:
            try:
                self._call("chat_update", blocks.BUTTONS, channel=channel, ts=ts)
            except SlackApiError as error:
                if _code(error) not in CANNOT_CHANGE:
                    raise
                # A deleted message has no thread to write in.
                where = {} if _code(error) == GONE_MESSAGE else {"thread_ts": ts}
                provider_id = self._post(channel, **where)["ts"]
                if not where:
                    data["ts"] = provider_id
        if is_note or (self.message.kind == Kind.UPDATE and provider_id == ts):
            # Nobody is notified when a message changes, so what is no answer and no end is said below it as well.
            provider_id = self._post(channel, blocks.NONE, thread_ts=ts)["ts"]
        if room := before.get("incident_channel"):
            answer = self._tell_channel(room, None if is_note else before.get("incident_ts"))
        return Accepted(provider_id, is_delivered=True, data=data, answer=answer)

    def _post(self, channel, verbs=blocks.BUTTONS, **where):
        try:
            return self._call("chat_postMessage", verbs, channel=channel, **where)
        except SlackApiError as error:
            if _code(error) in GONE_THREAD and where.pop("thread_ts", None):
                pass
            elif _code(error) == NOT_IN_CHANNEL:
                self.client.conversations_join(channel=channel)
            else:
                raise
            return self._call("chat_postMessage", verbs, channel=channel, **where)

    def _call(self, method, verbs, **where):
        """Post or update with blocks, or as plain text when Slack does not take them."""
        call = getattr(self.client, method)
        more = {"unfurl_links": False, "unfurl_media": False} if method == "chat_postMessage" else {}
        try:
            return call(text=self.text, blocks=blocks.compose(self.outgoing, verbs=verbs), **where, **more)
        except SlackApiError as error:
            if _code(error) not in OUR_FAULT:
                raise
            logger.error("Slack refused the blocks of message %s (%s): sent as text", self.outgoing.uuid, _code(error))
            return call(text=blocks.plain(self.outgoing, with_links=True), blocks=[], **where, **more)

    def _open_channel(self, wish):
        """Open the incident's channel and tell it there too. Returns its part of the data, and what went wrong."""
        data = {}
        try:
            room = self._create(wish["name"])
            data["incident_channel"] = room
            if wish.get("topic"):
                self.client.conversations_setTopic(channel=room, topic=blocks.cut(wish["topic"], TOPIC_LENGTH))
            data["incident_ts"] = self._post(room)["ts"]
            if wish.get("invite"):
                self.client.conversations_invite(channel=room, users=",".join(wish["invite"][:100]), force=True)
        except (SlackApiError, SendError) as error:
            why = _meaning(error).message if isinstance(error, SlackApiError) else error.message
            logger.warning("The Slack channel for message %s is not complete: %s", self.outgoing.uuid, why)
            return data, f"The incident's own channel is not complete: {why}"
        return data, ""

    def _create(self, name):
        name = channel_name(name)
        for number in range(1, SUFFIXES + 1):
            suffix = "" if number == 1 else f"-{number}"
            try:
                full = name[: NAME_LENGTH - len(suffix)] + suffix
                return self.client.conversations_create(name=full)["channel"]["id"]
            except SlackApiError as error:
                if _code(error) != "name_taken" or number == SUFFIXES:
                    raise

    def _tell_channel(self, room, ts):
        """Say it in the incident's channel, and put the channel away if that is wanted. Returns what went wrong."""
        try:
            if ts:
                self._call("chat_update", blocks.BUTTONS, channel=room, ts=ts)
            self._post(room, blocks.NONE)  # a line of the conversation: its buttons would grow old there
            if self.message.data.get("archive"):
                self.client.conversations_archive(channel=room)
        except (SlackApiError, SendError) as error:
            why = _meaning(error).message if isinstance(error, SlackApiError) else error.message
            logger.warning("The incident's Slack channel was not told of message %s: %s", self.outgoing.uuid, why)
            return f"The incident's own channel was not told: {why}"
        return ""


def channel_name(text):
    """A name that Slack takes: lower-case letters, digits, hyphens and underscores, at most 80."""
    name = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")
    return name[:NAME_LENGTH].strip("-") or "incident"


def _direct(client, member):
    return _direct_channel(client.base_url, client.token, member)


@functools.lru_cache(maxsize=10_000)
def _direct_channel(base_url, token, member):
    """The channel of direct messages with a member. It never changes, and asking for it is limited to 50 a minute."""
    found = client_of({"bot_token": token, "base_url": base_url}).conversations_open(users=member)
    return found["channel"]["id"]


def _code(error):
    return error.response.get("error", "") if isinstance(error.response.data, dict) else ""


def _meaning(error):
    """The SendError for what Slack said."""
    code, status = _code(error), error.response.status_code
    if code in OUR_ACCOUNT:
        return ProviderBroken(f"Slack {OUR_ACCOUNT[code]}. Check the Slack account in the admin.", status=status)
    if code in DEAD:
        return DeadAddress(f"Slack {DEAD[code]}.", status=status)
    if code in FOR_ADMINS:
        needed = error.response.get("needed") if code == "missing_scope" else ""
        return AdminNeeded(f"Slack {FOR_ADMINS[code]}{f': {needed}' if needed else ''}.", status=status)
    if code in CANNOT_JOIN:
        text = "The app is not in the Slack channel and may not join it. Invite it there: /invite and its name."
        return SendError(text, permanent=True, status=status)
    retry_after = http.retry_after(str(error.response.headers.get("Retry-After", "")))
    return SendError(f"Slack answered {_shown(code) or status}.", retry_after=retry_after, status=status)


def _shown(code):
    return code if re.fullmatch(r"[a-z_0-9]{1,80}", code) else "something that is not JSON" if code else ""
