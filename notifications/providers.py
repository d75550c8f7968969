"""The accounts at outside services through which messages go out: rows of the admin, and those of the environment.

A channel's vendor may have several accounts; they are tried in order, which is what failover means.
"""

import dataclasses

from django.conf import settings

from notifications import circuits
from notifications.models import Provider, channels, vendors

ENVIRONMENT = "environment"


@dataclasses.dataclass(frozen=True)
class Account:
    """One account, ready to use: its settings with the defaults filled in. `key` names it in circuits and limits."""

    key: str
    vendor: str
    name: str
    config: dict
    pk: int | None = None


def accounts(vendor):
    """The enabled accounts of a vendor, in the order in which they are tried: the environment's first."""
    return all_accounts().get(vendor, [])


def all_accounts():
    """`{vendor: [Account]}` of all vendors, in one query."""
    found = {}
    for kind, config in settings.PROVIDERS.items():
        if kind in vendors and not vendors.get(kind).missing(config):
            account = Account(f"{kind}:{ENVIRONMENT}", kind, "environment", vendors.get(kind).complete(config))
            found.setdefault(kind, []).append(account)
    for row in Provider.objects.filter(is_enabled=True).order_by("position", "pk"):
        if row.vendor in vendors and not vendors.get(row.vendor).missing(row.config):
            config = vendors.get(row.vendor).complete(row.config)
            found.setdefault(row.vendor, []).append(Account(row.key, row.vendor, row.name, config, row.pk))
    return found


def names_of(keys):
    """`{key: name}` of these accounts, which may be disabled by now, as people know them: “Twilio (backup)”."""
    wanted = {key for key in keys if key}
    rows = Provider.objects.filter(vendor__in={key.partition(":")[0] for key in wanted}).defer("config")
    found = {row.key: str(row) for row in rows} if wanted else {}
    for key in wanted:
        kind, _, rest = key.partition(":")
        if rest == ENVIRONMENT and kind in vendors:
            found[key] = vendors.get(kind).label
    return found


def own_account(vendor):
    """The account of a vendor that the product makes by itself, such as the keys of web push; made when missing.

    None when there is one that is disabled, or whose settings cannot be read: it is not ours to replace.
    """
    if found := accounts(vendor):
        return found[0]
    Provider.objects.get_or_create(
        vendor=vendor, name="own", defaults={"config": vendors.get(vendor).new_config(), "position": 0}
    )
    return next(iter(accounts(vendor)), None)


@dataclasses.dataclass(frozen=True)
class Route:
    """The way of one try: its account (None where the channel needs none), its circuit, and what a failure leads to.

    In a round, counted from 1, each account that is not left alone is tried once; the waits are between rounds.
    `has_next`: another account is still to be tried in this round. `has_other`: some other account can be called now.
    `may_recover`: waiting can help even when this account cannot be used, as another is only left alone for a while.
    `is_spent`: all that may be tried was tried. `hold`: seconds to wait for the probe of somebody else, or None.
    """

    account: Account | None = None
    circuit: str = ""
    label: str = ""
    round: int = 1
    has_next: bool = False
    has_other: bool = False
    may_recover: bool = False
    is_clean: bool = False
    is_probe: bool = False
    is_spent: bool = False
    refusal: str = ""  # why no account is called now, in a sentence
    seconds: float = 0  # at least so long, because the provider asked for it
    hold: float | None = None


HOLD_SECONDS = 1  # while another message finds out whether the only way works again


def route(channel, address, accounts, tries, refused, board, *, is_outside=False):
    """Choose the account with the fewest tries of this message whose circuit is closed; ties go by their order.

    `tries` counts the tries by the accounts' keys, `refused` those that found no account to call. Without any account
    that may be called, the route has a `refusal`: the try counts as failed, so that it holds up no thread.
    """
    ways = [
        (account, circuits.name_of(channel, account, address, is_outside=is_outside)) for account in accounts or [None]
    ]
    spent = {name: tries.get(account.key if account else "", 0) for account, name in ways}
    ways.sort(key=lambda way: spent[way[1]])  # stable, so ties stay in order
    rounds, most = 1 + len(settings.RETRY_DELAYS_SECONDS), max(spent.values())
    free = [(account, name) for account, name in ways if board.is_free(name)]
    if not free:
        account, name = ways[0]
        until = board.opened_until(name)
        same = {"account": account, "circuit": name, "round": most + refused + 1}
        if any(board.is_probed(each) for _, each in ways):
            return Route(**same, hold=HOLD_SECONDS)
        label = circuits.label_of(account, name)
        asked = (until - board.now).total_seconds() if board.is_pause(name) else 0
        return Route(**same, label=label, refusal=board.why(name, label), seconds=asked)
    account, name = free[0]
    others = [each for _, each in free[1:] if spent[each] + refused < rounds]
    return Route(
        account=account,
        circuit=name,
        label=circuits.label_of(account, name),
        round=max(most, spent[name] + 1) + refused,
        has_next=any(spent[each] <= spent[name] for each in others),
        has_other=bool(others),
        may_recover=any(each != name and not board.is_held(each) for _, each in ways),
        is_clean=board.is_clean(name),
        is_spent=spent[name] + refused >= rounds,
    )


def not_set_up():
    """The labels of the channels whose vendor has no account, in order; those that set themselves up are none."""
    found = all_accounts()
    classes = channels.classes().values()
    return sorted(
        one.label
        for one in classes
        if one.vendor and one.vendor not in found and vendors.get(one.vendor).new_config() is None
    )
