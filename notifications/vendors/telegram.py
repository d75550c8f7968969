"""A bot of Telegram."""

import re

from django.utils.crypto import salted_hmac

from core import http
from notifications.vendors.base import Setting, Vendor

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"
TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]{30,}")
SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")  # what setWebhook takes


class Telegram(Vendor):
    kind, label = "telegram", "Telegram bot"
    help = (
        "Talk to @BotFather on Telegram, send /newbot, and copy the token here. Then run “manage.py telegram_webhook” "
        "once, so that buttons and messages come back; PUBLIC_URL must be reachable by https."
    )
    settings = (
        Setting("bot_token", "Bot token", "From @BotFather, for example 123456:ABC-DEF….", is_secret=True),
        Setting(
            "webhook_secret",
            "Webhook secret",
            "Proves that a call to us comes from Telegram. Left empty, one is made from the token.",
            is_secret=True,
            is_required=False,
        ),
        Setting(
            "bot_name",
            "Bot name",
            "Without @, for example watchbill_bot. The settings page links to it.",
            is_required=False,
        ),
        Setting(
            "base_url",
            "Base URL",
            "Another address only for a Bot API server of your own.",
            is_required=False,
            default="https://api.telegram.org",
        ),
    )

    def problems_with(self, config):
        problems = {}
        if not TOKEN.fullmatch(config.get("bot_token", "")):
            problems["bot_token"] = "This is no bot token. Copy it from @BotFather: digits, a colon, 35 characters."
        if config.get("webhook_secret") and not SECRET.fullmatch(config["webhook_secret"]):
            problems["webhook_secret"] = "Use up to 256 letters, digits, _ and - only, or leave it empty."
        if config.get("base_url") and (problem := http.problem_with(config["base_url"])):
            problems["base_url"] = problem
        return problems

    def complete(self, config):
        """The settings; a webhook secret of its own stands in the place of an empty one, the same each time."""
        config = super().complete(config)
        config["bot_name"] = config["bot_name"].lstrip("@")
        if not config["webhook_secret"]:
            made = salted_hmac("notifications.vendors.telegram", config["bot_token"], algorithm="sha256")
            config["webhook_secret"] = made.hexdigest()
        return config


def call(config, method, values, *, timeout=15):
    """Call a method of the Bot API and return its `Reply`, whose JSON is judged by the caller. Raises SendError."""
    address = f"{config['base_url'].rstrip('/')}/bot{config['bot_token']}/{method}"
    return http.post(address, json=values, timeout=timeout)
