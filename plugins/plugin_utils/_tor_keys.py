# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What a declaration can say of Tor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import _tor_plan
from ._declaration_file import KeyPath
from ._declaration_kinds import Bool, Check, Keys, ListOf, Text

THROUGH_TOR = ("apt", "pulls")


@dataclass(frozen=True, kw_only=True)
class Bridge(Text):
    """A bridge line."""

    allows: str = _tor_plan.ALLOWED_BRIDGE

    def further(self, value: str, path: KeyPath, check: Check) -> Any:
        if problem := _tor_plan.bridge_finding(value):
            # Not the line itself: whoever reads this need not learn of a bridge.
            check.refuse(path, None, problem, self.allowed, shows_value=False)
        return value


@dataclass(frozen=True, kw_only=True)
class Option(Text):
    """A line of a torrc."""

    allows: str = "a line of a torrc, but of none that the role tor answers for"

    def further(self, value: str, path: KeyPath, check: Check) -> Any:
        if problem := _tor_plan.option_finding(value):
            check.refuse(path, value, problem, self.allowed)
        return value


TOR = Keys(
    about="Tor on the proxyhosts. It is there where a stack goes through it, or `egress.through_tor` does.",
    fields={
        "enabled": Bool(
            about="Whether it is there; `null`: where something goes through it.",
            nullable=True,
        ),
        "tiers": ListOf(
            about="Tiers that may go out by it beside those of stacks that do. They get a leg on the network of the proxyhosts, and reach "
            "nothing else outside but the mirrors of packages.",
            item=Text(pattern=r"[a-z][a-z0-9]{0,15}", allows="the name of a tier"),
        ),
        "bridges": ListOf(
            about="Bridges to begin with instead of public relays. Their lines are hidden in what plays print; here they are in clear.",
            item=Bridge(),
        ),
        "config": ListOf(
            about="Further configuration of tor, such as of a private network: a file for each.",
            unique="name",
            item=Keys(
                fields={
                    "name": Text(
                        about="Name of the file.",
                        required=True,
                        pattern=_tor_plan.CONFIG_NAME.pattern,
                        allows=_tor_plan.ALLOWED_NAME,
                    ),
                    "lines": ListOf(about="Its lines.", required=True, item=Option()),
                }
            ),
        ),
        "allowed_private": ListOf(
            about="Private addresses that tor may go to, such as relays of a private network or a bridge in the LAN. All others are "
            "denied to it.",
            item=Text(pattern=r"\d+\.\d+\.\d+\.\d+(/\d+)?", allows="an IPv4 address or network"),
        ),
    },
)
