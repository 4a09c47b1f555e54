# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.


"""Times and spans of time as LXD writes them. Functions without I/O."""

from __future__ import annotations

import calendar
import datetime as dt
import re
import typing as t

UTC = dt.timezone.utc  # noqa: UP017 - Python 3.9 on targets

# A time before this year stands for "never".
FIRST_YEAR = 1971

# LXD's notation of a span of time, as in snapshots.expiry.
_UNITS = {"M": "minutes", "H": "hours", "d": "days", "w": "weeks"}


def when(text: t.Any) -> dt.datetime | None:
    """A time of LXD's, or None where it stands for never."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?", str(text or "").strip())
    if not match:
        return None
    day, clock, fraction, zone = match.groups()
    zone = "+0000" if zone in (None, "Z") else zone.replace(":", "")
    try:
        # LXD tells nanoseconds, Python knows microseconds.
        found = dt.datetime.strptime(f"{day}T{clock}{(fraction or '.0')[:7]}{zone}", "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        return None
    return found if found.year >= FIRST_YEAR else None


def after_span(text: str, begin: dt.datetime) -> dt.datetime:
    """The end of a span in LXD's notation, such as "1w 2d"; M is minutes, m months. Raises a ValueError."""
    parts = text.split()
    matches = [re.fullmatch(r"(\d+)([MHdwmy])", part) for part in parts]
    if not parts or not all(matches):
        raise ValueError(f"{text!r} is not a span of time such as 30M, 12H, 7d, 2w, 6m or 1y")
    end = begin
    for match in matches:
        if match is None:
            continue
        count, unit = int(match[1]), match[2]
        if unit in _UNITS:
            end += dt.timedelta(**{_UNITS[unit]: count})
        else:
            months = end.year * 12 + end.month - 1 + (count if unit == "m" else 12 * count)
            year, month = divmod(months, 12)
            day = min(end.day, calendar.monthrange(year, month + 1)[1])
            end = end.replace(year=year, month=month + 1, day=day)
    return end


def text(moment: dt.datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def expiry(wanted: str, *, never: str) -> str:
    """A time that a person wrote, as LXD wants it. never is what LXD takes for it. Raises a ValueError."""
    if wanted == "never":
        return never
    found = when(wanted)
    if found is None:
        raise ValueError(f"expires_at {wanted!r} is neither a time such as 2027-01-31T12:00:00Z nor never")
    return text(found)
