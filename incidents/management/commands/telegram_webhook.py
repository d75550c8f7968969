from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from core.errors import SendError
from incidents.replies import telegram as replies
from notifications import providers
from notifications.channels.telegram import Telegram
from notifications.vendors import telegram


class Command(BaseCommand):
    help = "Tell Telegram where the buttons and messages of our bots go: to PUBLIC_URL, with each bot's secret."

    def add_arguments(self, parser):
        parser.add_argument(
            "--url", default=settings.PUBLIC_URL, help="Instead of PUBLIC_URL, for example of a tunnel."
        )

    def handle(self, *args, url, **options):
        accounts = providers.accounts(Telegram.vendor)
        if not accounts:
            raise CommandError("There is no Telegram bot. Set TELEGRAM_BOT_TOKEN, or add one in the admin.")
        for account in accounts:
            try:
                name = self._set(account, f"{url.rstrip('/')}{reverse('telegram-webhook')}")
            except SendError as error:
                raise CommandError(f"{account.name}: {error.message}") from None
            self.stdout.write(f"{account.name}: the bot @{name} sends its updates to {url}.")
            if account.config["bot_name"] != name:
                self.stdout.write(f"Enter the bot name {name} in its settings: people then link themselves by a tap.")

    def _set(self, account, address):
        config = account.config
        name = self._call(config, "getMe", {}).get("username", "")
        values = {
            "url": address,
            "secret_token": config["webhook_secret"],
            "allowed_updates": replies.UPDATES,
            "max_connections": 10,
        }
        self._call(config, "setWebhook", values)
        commands = [{"command": word, "description": text} for word, text in replies.COMMANDS]
        self._call(config, "setMyCommands", {"commands": commands})
        return name

    def _call(self, config, method, values):
        answer = telegram.call(config, method, values).json
        if not isinstance(answer, dict) or not answer.get("ok"):
            said = answer.get("description", "") if isinstance(answer, dict) else ""
            raise SendError(f"Telegram refused {method}: {said or 'it gave no reason'}.")
        return answer["result"] if isinstance(answer.get("result"), dict) else {}
