# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Which member of a cluster an instance goes to. Pure: it is told what there is, and answers."""

from __future__ import annotations

import collections
import dataclasses
import re
import typing as t


@dataclasses.dataclass(frozen=True)
class Member:
    """A member of the cluster, as far as it matters here."""

    name: str
    # Whether it takes new instances: it answers, and is not evacuated.
    able: bool = True
    failure_domain: str = "default"
    # How many instances it has, of all projects.
    load: int = 0


@dataclasses.dataclass(frozen=True)
class Wanted:
    """An instance that is to be somewhere."""

    name: str
    # Where it has to be.
    target: str | None = None
    # Those with the same word are put apart.
    apart: str | None = None
    # Where it is.
    location: str | None = None
    # Where its volumes are: it can only be there.
    volumes: tuple[str, ...] = ()
    # Whether it chooses anew although it exists. Its volumes come along.
    moves: bool = False


def place(members: t.Sequence[Member], wanted: t.Sequence[Wanted]) -> tuple[dict[str, str], list[str]]:
    """A member for each instance, and every reason why there is none.

    What exists stays. What is new goes where its volumes are, then where it is told to, and otherwise to the failure domain
    and then the member with the fewest of those that it is to be apart from; among equals to the one with the fewest
    instances, and then to the first by name. What exists and moves goes where it would go if it were new; before it goes to
    another one that is no better, it stays.
    """
    by_name = {member.name: member for member in members}
    placed: dict[str, str] = {}
    errors: list[str] = []
    load = collections.Counter({member.name: member.load for member in members})
    load.subtract(one.location for one in wanted if one.location and one.moves)
    neighbours: collections.Counter[tuple[str | None, str, str]] = collections.Counter()

    def settle(one: Wanted, name: str) -> None:
        placed[one.name] = name
        if name in by_name:
            neighbours[one.apart, "domain", by_name[name].failure_domain] += 1
        neighbours[one.apart, "member", name] += 1

    for one in wanted:
        if one.location and not one.moves:
            settle(one, one.location)
    for one in wanted:
        if one.location and not one.moves:
            continue
        places = [] if one.moves else sorted(set(one.volumes))
        if len(places) > 1:
            errors.append(f"instance {one.name}: its volumes lie on {' and '.join(places)}; bring them together first")
            continue
        chosen = places[0] if places else one.target
        if chosen and chosen not in by_name:
            errors.append(
                f"instance {one.name}: the cluster has no member {chosen!r}. Its members: {', '.join(by_name)}"
            )
            continue
        if chosen and not by_name[chosen].able:
            errors.append(f"instance {one.name}: member {chosen} is offline, evacuated or leaving")
            continue
        able = [member for member in members if member.able and chosen in (None, member.name)]
        if not able:
            errors.append(f"instance {one.name}: no member of the cluster is online")
            continue
        best = min(
            able,
            key=lambda member: (
                neighbours[one.apart, "domain", member.failure_domain] if one.apart else 0,
                neighbours[one.apart, "member", member.name] if one.apart else 0,
                load[member.name],
                member.name != one.location,
                natural(member.name),
            ),
        )
        settle(one, best.name)
        load[best.name] += 1
    return placed, errors


def natural(name: str) -> list[int | str]:
    """A key that puts rack-2 before rack-10."""
    # Text and numbers take turns, so that each is compared with its like.
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
