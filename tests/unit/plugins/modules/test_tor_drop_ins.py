# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of tor's files, and what a change of them needs. That tor goes by them, molecule shows."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _tor_files as files
from ansible_collections.bcm.datacenter.plugins.modules import tor_drop_ins as module

OWN = "# Ours, do not touch\nNickname x"


class Tor:
    """A tor that starts, or not."""

    def __init__(self) -> None:
        self.is_active, self.causes = True, [""]
        self.did: list[str] = []

    def active(self) -> bool:
        return self.is_active

    def start(self, verb: str) -> str:
        self.did.append(verb)
        return self.causes.pop(0) if self.causes else ""

    def reload(self) -> str:
        return self.start("reload")

    def stop(self) -> None:
        self.did.append("stop")


@pytest.fixture
def places(tmp_path: Path) -> files.Places:
    (tmp_path / "torrc").write_text(OWN)
    return files.Places(tmp_path / "torrc", tmp_path / "torrc.d", tmp_path / "published.d")


def plan(places: files.Places, *entries: t.Any, **changes: t.Any) -> module.Plan:
    listed = [{"content": None, "state": "present", "sensitive": False, **entry} for entry in entries]
    return module.Plan({"files": listed, "exclusive": True, "publish": "always", **changes}, places, os.getgid())


A: t.Final = {"name": "10-a", "content": "SocksPort 9050\n"}


def test_an_owners_torrc_stays_what_it_is(places: files.Places) -> None:
    plan(places, A).write()
    text = places.torrc.read_text()
    assert text.startswith(OWN + "\n# BEGIN bcm.datacenter.tor\n%include ")
    assert text.endswith("# END bcm.datacenter.tor\n")
    assert files.without_block(text) == OWN.splitlines()
    assert places.publisher.read_text() == places.publishing()
    assert (places.directory / "10-a.conf").stat().st_mode & 0o777 == 0o640
    assert not plan(places, A).texts


def test_what_tor_could_not_read_anew_is_mended(places: files.Places) -> None:
    plan(places, A).write()
    (places.directory / "10-a.conf").chmod(0o600)
    mended = plan(places, A)
    assert list(mended.texts) == [places.directory / "10-a.conf"]
    mended.write()
    assert not plan(places, A).texts


def test_bytes_that_are_no_text_survive(places: files.Places) -> None:
    places.torrc.write_bytes(b"# \xe9\xff\nNickname x\n")
    plan(places, A).write()
    assert places.torrc.read_bytes().startswith(b"# \xe9\xff\nNickname x\n# BEGIN")


def test_lines_of_ours_are_mended_where_they_stand(places: files.Places) -> None:
    places.torrc.write_text(f"{files.BEGIN}\n%include /elsewhere\n{files.END}\nNickname x\n")
    plan(places, A).write()
    assert places.torrc.read_text() == "\n".join(places.block()) + "\nNickname x\n"


def test_what_is_not_listed_any_more_goes(places: files.Places) -> None:
    places.directory.mkdir()
    for name in ("20-old", "50-onion-x", "07-theirs"):
        (places.directory / f"{name}.conf").write_text("")
    plan(places, A).write()
    assert sorted(path.name for path in places.directory.iterdir()) == [
        "07-theirs.conf",
        "10-a.conf",
        "50-onion-x.conf",
    ]


def test_onions_may_be_the_business_of_somebody_else(places: files.Places) -> None:
    plan(places, A, publish="elsewhere").write()
    assert not places.publisher.exists()


def test_sensitive_files_are_hidden(places: files.Places) -> None:
    secret = {"name": "11-b", "content": "Bridge 192.0.2.1:443\n", "sensitive": True}
    told = repr(plan(places, A, secret).diff())
    assert "SocksPort 9050" in told
    assert "192.0.2.1" not in told


@pytest.mark.parametrize(
    ("torrc", "there", "entries", "told"),
    [
        (OWN, [], [{"name": "x", "content": ""}], "no name of a file"),
        (OWN, [], [A, A], "stands in the list twice"),
        (f"{OWN}\n%include DIR/*.conf\n", [], [A], "would count twice"),
        (OWN, ["1later.conf"], [A], "1later.conf in"),
    ],
)
def test_refused(places: files.Places, torrc: str, there: list[str], entries: list[t.Any], told: str) -> None:
    places.torrc.write_text(torrc.replace("DIR", str(places.directory)))
    places.directory.mkdir()
    for name in there:
        (places.directory / name).write_text("ThisWouldBeRefused 1\n")
    with pytest.raises(files.FilesError, match=told):
        plan(places, *entries)


@pytest.mark.parametrize(
    ("before", "after", "anew"),
    [
        ("SocksPort 1", "SocksPort 2", False),
        ("DirAuthority a", "DirAuthority  a  ", False),
        ("DirAuthority a", "DirAuthority b", True),
        ("", "TestingTorNetwork 1", True),
        ("datadirectory /a", "DataDirectory /b", True),
        ("# User x", "", False),
        ("Sandbox 1", "Sandbox 1", True),
        ("Sandbox 0", "Sandbox 0", False),
        ("Nickname a \\\nUser x", "Nickname a", False),
    ],
)
def test_what_needs_a_new_start(before: str, after: str, anew: bool) -> None:
    assert files.needs_restart([before], [after]) is anew


def test_it_is_put_in_force(places: files.Places, tmp_path: Path) -> None:
    stamp, tor, asked = tmp_path / "in-force/tor", Tor(), plan(places, A)
    module.put_in_force(asked, t.cast(module.Service, tor), "reloaded", stamp)
    assert tor.did == ["reload"]
    assert not module.pending(stamp, asked.digest)
    assert module.pending(stamp, plan(places, {**A, "content": "SocksPort 9\n"}).digest)


@pytest.mark.parametrize(("active", "did"), [(True, ["restart", "restart"]), (False, ["start", "stop"])])
def test_what_it_does_not_run_with_is_taken_back(
    places: files.Places, tmp_path: Path, active: bool, did: list[str]
) -> None:
    stamp, tor = tmp_path / "tor", Tor()
    places.directory.mkdir()
    (places.directory / "10-a.conf").write_text("SocksPort 1\n")
    (places.directory / "20-b.conf").write_text("# kept\n")
    stamp.write_text("what was in force")
    tor.is_active, tor.causes = active, ["Address already in use"]
    verb = "restarted" if active else "started"
    with pytest.raises(files.FilesError, match=r"Address already in use.*put back, and it is as it was"):
        module.put_in_force(plan(places, A), t.cast(module.Service, tor), verb, stamp)
    assert tor.did == did
    assert places.torrc.read_text() == OWN
    assert (places.directory / "10-a.conf").read_text() == "SocksPort 1\n"
    assert (places.directory / "20-b.conf").read_text() == "# kept\n"
    assert not places.publisher.exists()
    assert not module.pending(stamp, "what was in force")


def test_what_it_does_not_run_with_any_more_either(places: files.Places, tmp_path: Path) -> None:
    stamp, tor = tmp_path / "tor", Tor()
    stamp.write_text("what was in force")
    tor.causes = ["Address already in use", "Address already in use"]
    with pytest.raises(files.FilesError, match="it does not run with them either"):
        module.put_in_force(plan(places, A), t.cast(module.Service, tor), "restarted", stamp)
    assert places.torrc.read_text() == OWN
    # The next run tries again, whatever it is asked for.
    assert module.pending(stamp, "what was in force")


def test_what_tor_says(tmp_path: Path, places: files.Places) -> None:
    program = tmp_path / "tor"
    program.write_text(
        '#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" = -f ] && cat "$2" >&2; shift; done\n'
        f"echo 'x [warn] You are running Tor as root.'; cat {tmp_path}/said; exit 1\n"
    )
    program.chmod(0o755)
    (tmp_path / "said").write_text(
        "x [warn] You have used DirAuthority.\n"
        "x [warn] Failed to parse/validate config: Unknown option 'Nonsense'.  Failing.\n"
        "x [err] Reading config failed--see warnings above.\n"
    )
    with pytest.raises(
        files.FilesError,
        match=r"^tor would not take this configuration: Failed to parse/validate config: Unknown option 'Nonsense'\.  Failing\.$",
    ):
        files.verify(str(program), places, files.with_block(OWN, places), {"10-a": "Nonsense 1\n"})
