"""What every vendor is: an outside service of which an installation has accounts, such as Twilio or a Slack app.

One file of this folder, one class with a `kind`. A channel that names a vendor gets the settings of one of its
accounts as `outgoing.config`; several accounts are tried in their order. See `notifications/providers.py`.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Setting:
    """One thing to fill in. A secret is never shown again; `choices` are (value, label) pairs."""

    name: str
    label: str
    help: str = ""
    is_secret: bool = False
    is_required: bool = True
    default: str = ""
    choices: tuple = ()


class Vendor:
    """An outside service."""

    kind = ""
    label = ""
    help = ""  # where to get an account, and what to set up there, in a sentence or two
    settings: tuple[Setting, ...] = ()

    def problems_with(self, config):
        """What is wrong with the settings, `{name: sentence}`. Required ones are checked already."""
        return {}

    def missing(self, config):
        """The labels of required settings that are empty."""
        return [one.label for one in self.settings if one.is_required and not (config.get(one.name) or one.default)]

    def complete(self, config):
        """The settings with defaults in the place of what is empty."""
        return {one.name: config.get(one.name) or one.default for one in self.settings}

    def new_config(self):
        """Settings that the product makes by itself, for a vendor that nobody has to sign up with; else None."""
        return None
