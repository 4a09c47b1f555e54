# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _multipass as mp
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_multipass import FakeMultipass


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMultipass:
    monkeypatch.setattr(mp, "PAUSE", 0)
    monkeypatch.setattr(mp, "GRACE", 1)
    return FakeMultipass(tmp_path)


@pytest.mark.parametrize("name", ["a", "A1", "CLUS1-00", "a" + "b" * 62])
def test_names_that_can_be(name: str) -> None:
    assert mp.name_error(name) == ""


@pytest.mark.parametrize("name", ["", "1a", "a-", "-a", "a_b", "a.b", "a b", "ä", "--all", "a\n", "a" * 64])
def test_names_that_cannot_be(name: str) -> None:
    assert "cannot be the name" in mp.name_error(name)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("4B", 4),
        ("2K", 2 << 10),
        ("1.2KiB", 1228),
        ("512m", 512 << 20),
        ("1.5G", 3 << 29),
        (" 2 ", 2),
        ("0.1G", 107374182),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert mp.size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1G", "1.1", "1.1B", "1T", "1 G", "G", "0x10", "1,5G"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        mp.size_bytes(text)


@pytest.mark.parametrize(
    ("wanted", "told", "same"),
    [
        ("1536M", "1.5GiB", True),
        ("1G", "1024.0MiB", True),
        # multipass tells a tenth of a unit: what it cannot tell apart is no difference.
        ("1550M", "1.5GiB", True),
        ("1.6G", "1.5GiB", False),
        ("1G", "2.0GiB", False),
        ("1000", "1000B", True),
        ("1001", "1000B", False),
        ("1G", "<empty>", False),
    ],
)
def test_sizes_as_multipass_tells_them(wanted: str, told: str, same: bool) -> None:
    assert mp.same_size(mp.size_bytes(wanted), told) is same


def test_reads_are_tried_again_when_the_connection_broke(fake: FakeMultipass) -> None:
    fake.fails_first(
        2, "info failed: Socket error: disconnected", 2, """echo '{"info": {"one": {"state": "Running"}}}'"""
    )
    assert fake.client().info("one") == {"one": {"state": "Running"}}
    assert len(fake.calls) == 3


def test_reads_are_not_tried_for_ever(fake: FakeMultipass) -> None:
    fake.fails_first(99, "info failed: Socket error: disconnected", 2, "")
    with pytest.raises(mp.MultipassError, match="Socket error: disconnected"):
        fake.client().info("one")
    assert len(fake.calls) == mp.READS


def test_what_changes_something_is_never_tried_again(fake: FakeMultipass) -> None:
    fake.fails_first(1, "launch failed: Socket error: disconnected", 2, "")
    with pytest.raises(mp.MultipassError, match="Socket error"):
        fake.client().run(["launch", "--name", "one"])
    assert len(fake.calls) == 1


def test_other_failures_are_not_tried_again(fake: FakeMultipass) -> None:
    fake.does("""echo 'info failed: instance "one" does not exist' >&2; exit 2""")
    with pytest.raises(mp.MultipassNotFoundError, match='"one" does not exist'):
        fake.client().info("one")
    assert len(fake.calls) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("cannot connect to the multipass socket", 2),
        ("list failed: The client is not authenticated with the Multipass service.", 2),
        ("", 3),
    ],
)
def test_a_daemon_that_does_not_answer(fake: FakeMultipass, error: str, code: int) -> None:
    fake.does(f"echo '{error}' >&2; exit {code}")
    with pytest.raises(mp.MultipassUnavailableError):
        fake.client().instances()


def test_a_program_that_hangs_is_ended_with_all_that_it_started(fake: FakeMultipass, tmp_path: Path) -> None:
    fake.does(f"sleep 300 & echo $! > '{tmp_path}/pid'; wait")
    begun = time.monotonic()
    with pytest.raises(mp.MultipassTimeoutError, match=r"`multipass list` has not ended within 0\.5 s"):
        fake.client(timeout=0.5).instances()
    assert time.monotonic() - begun < 5
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_input_is_never_that_of_ansible(fake: FakeMultipass, tmp_path: Path) -> None:
    fake.does(f"readlink /proc/self/fd/0 > '{tmp_path}/stdin'; cat > '{tmp_path}/read'")
    fake.client().run(["stop", "one"])
    assert (tmp_path / "read").read_text() == ""
    fake.client().run(["launch"], data="#cloud-config\n# grüße\n")
    assert (tmp_path / "read").read_text() == "#cloud-config\n# grüße\n"


def test_nothing_goes_through_a_shell(fake: FakeMultipass, tmp_path: Path) -> None:
    fake.client().run(["exec", "one", f"$(touch {tmp_path}/made); echo"])
    assert not (tmp_path / "made").exists()


def test_the_list_is_asked_for_without_addresses_where_that_can_be(fake: FakeMultipass) -> None:
    fake.lists(("one", "Running"), ("one-0", "Stopped"))
    assert fake.client().state("one") == "Running"
    assert fake.client().state("on") == ""
    assert fake.calls == ["list --no-ipv4 --format json"] * 2


def test_a_version_without_that_option(fake: FakeMultipass) -> None:
    fake.lists(("one", "Running"))
    script = fake.path.read_text().split("\n", 2)[2]
    fake.does('if [ "$2" = --no-ipv4 ]; then echo "Unknown option" >&2; exit 1; fi\n' + script)
    assert fake.client().state("one") == "Running"


@pytest.mark.parametrize("text", ["", "nothing", "[]", '{"list": 1}'])
def test_answers_that_nobody_understands(fake: FakeMultipass, text: str) -> None:
    fake.does(f"echo '{text}'")
    with pytest.raises(mp.MultipassError, match="printed"):
        fake.client().instances()


def test_an_empty_address_is_none(fake: FakeMultipass) -> None:
    fake.does("""echo '{"list": [{"name": "one", "state": "Suspended", "ipv4": [""]}]}'""")
    assert fake.client().instances()[0]["ipv4"] == []


def test_places_beside_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeMultipass(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(mp, "PLACES", (str(tmp_path),))
    assert mp.find_program("multipass") == str(fake.path)
    with pytest.raises(mp.MultipassUnavailableError, match="no program 'multipass-2'"):
        mp.find_program("multipass-2")


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    broken = tmp_path / "multipass"
    broken.write_text("#!/nowhere/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(mp.MultipassUnavailableError, match="cannot be run"):
        mp.Multipass(str(broken)).instances()
