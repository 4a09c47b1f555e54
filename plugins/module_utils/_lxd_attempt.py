# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Saying what was tried when it did not work, trying again, and waiting, with a limit, until something is so."""

from __future__ import annotations

import contextlib
import re
import time
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDForbidden,
    LXDTimeout,
)


@contextlib.contextmanager
def attempt(what: str) -> t.Iterator[None]:
    """Errors of LXD begin with what was tried: attempt("remove member two")."""
    try:
        yield
    except LXDError as exc:
        raise type(exc)(
            f"Could not {what}: {exc}", url=exc.url, method=exc.method, code=exc.code, operation=exc.operation
        ) from exc


def _unless_raced(do: t.Callable[[], t.Any], race: str, times: int) -> t.Any:
    """Do something that somebody else may get in the way of, before anything came of it: then again, so many times."""
    for _again in range(times):
        try:
            return do()
        except LXDError as exc:
            if not re.search(race, str(exc)):
                raise
    return do()


def post_with_image(client: LXDClient, path: str, body: t.Any, **options: t.Any) -> t.Any:
    """Make something that may begin with a server of images being asked.

    Where two ask the same server for the first time, Incus 6.0 makes its cache for that server twice, and one of them
    fails at that before anything was made. By then the cache is there.

    Of members of a cluster each fetches an image that none has yet, and the first of them enters it for all. The others fail at
    that before anything was made (LXD 5.0), and then have it from the first.
    """
    race = (
        r"simple streams server .*mkdir .*: file exists"
        r"|Failed saving main image record: UNIQUE constraint failed: images\.project_id, images\.fingerprint"
    )
    return _unless_raced(lambda: client.post(path, body, **options), race, 1)


def delete_network(client: LXDClient, path: str, query: t.Mapping[str, t.Any]) -> None:
    """Remove a network while others are removed.

    Incus 6.0 looks at every interface of the machine before it takes a bridge down, and gives up where one of them went
    in between.
    """
    race = r'Failed to delete bridge children interfaces: .*Device "[^"]+" does not exist'
    _unless_raced(lambda: client.delete(path, query=dict(query)), race, 5)


# An instance that was seen stopped may still be held by the stop for a moment, whatever is asked of it then.
_HELD = re.compile(r'Instance is busy running a "\w+" operation')


def when_free(do: t.Callable[[], None], timeout: float) -> None:
    """Do something with an instance once LXD has let go of it, which refuses it until then and changes nothing."""
    deadline = time.monotonic() + timeout
    pause = 0.1
    while True:
        try:
            return do()
        except LXDError as exc:
            if not _HELD.search(str(exc)) or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)


def until(reached: t.Callable[[], bool], awaited: str, timeout: float) -> None:
    """Ask until it is so, more and more seldom. A daemon that restarts in between may be away for a moment."""
    deadline = time.monotonic() + timeout
    pause, why = 0.1, ""
    while True:
        try:
            if reached():
                return
            why = ""
        except LXDForbidden:
            raise
        except LXDError as exc:
            why = f" The last answer: {exc}"
        left = deadline - time.monotonic()
        if left <= 0:
            raise LXDTimeout(f"{awaited} was awaited in vain for {timeout:g} s.{why}")
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 1.0)
