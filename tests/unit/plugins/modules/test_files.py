# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import grp
import os
import pwd
import stat
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.modules import files as module
from ansible_collections.bcm.datacenter.plugins.modules.files import EntryError, Files, parse_entries


def item(path: Path | str, state: str = "file", **options: t.Any) -> dict[str, t.Any]:
    return {"path": str(path), "state": state, **options}


def bring(*items: dict[str, t.Any], check_mode: bool = False, parents: bool = False) -> Files:
    files = Files(check_mode, parents, 0o755)
    for entry in parse_entries(list(items)):
        files.handle(entry)
    return files


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


ITEMS: list[tuple[str, dict[str, t.Any]]] = [
    ("text", {"content": "grüße\n"}),
    ("empty", {"content": ""}),
    ("binary", {"content_base64": base64.b64encode(b"\0\xff\r\n").decode(), "mode": "0640"}),
    ("dir", {"state": "directory", "mode": "2750"}),
    ("dir/inside", {"content": "x", "mode": "0600"}),
    ("link", {"state": "link", "src": "./text"}),
    ("dangling", {"state": "link", "src": "/no/where"}),
    ("new/deep/down", {"content": "x"}),
    ("gone", {"state": "absent"}),
]


def all_items(root: Path) -> list[dict[str, t.Any]]:
    return [item(root / name, **options) for name, options in ITEMS]


def test_what_is_in_force_by_being_written_does_not_count(tmp_path: Path) -> None:
    unit = item(tmp_path / "a.service", content="x")
    names = [item(tmp_path / "hosts", content=content, stamped=False) for content in ("a", "b")]
    digests = {module.digest_of(parse_entries(entries)) for entries in ([unit], [unit, names[0]], [names[1], unit])}
    assert len(digests) == 1
    assert module.digest_of(parse_entries([{**unit, "content": "y"}, names[0]])) not in digests


def test_everything_and_again(tmp_path: Path) -> None:
    expected = [str(tmp_path / name) for name, _options in ITEMS[:-1]]
    checked = bring(*all_items(tmp_path), check_mode=True, parents=True)
    assert checked.changed_paths == expected
    assert list(tmp_path.iterdir()) == []

    made = bring(*all_items(tmp_path), parents=True)
    assert made.changed_paths == expected
    assert made.diffs == checked.diffs
    assert (tmp_path / "text").read_text(encoding="utf-8") == "grüße\n"
    assert (tmp_path / "binary").read_bytes() == b"\0\xff\r\n"
    assert {
        name: oct(mode_of(tmp_path / name)) for name in ("text", "binary", "dir", "dir/inside", "new", "new/deep")
    } == {
        "text": "0o644",
        "binary": "0o640",
        "dir": "0o2750",
        "dir/inside": "0o600",
        "new": "0o755",
        "new/deep": "0o755",
    }
    assert os.readlink(tmp_path / "link") == "./text"  # noqa: PTH115 - as it is written

    inodes = {name: (tmp_path / name).lstat().st_ino for name, _options in ITEMS[:-1]}
    again = bring(*all_items(tmp_path), parents=True)
    assert (again.changed_paths, again.diffs) == ([], [])
    assert {name: (tmp_path / name).lstat().st_ino for name, _options in ITEMS[:-1]} == inodes


def test_content_keeps_attributes_that_are_not_mentioned(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    (tmp_path / "f").chmod(0o604)
    files = bring(item(tmp_path / "f", content="new"))
    assert mode_of(tmp_path / "f") == 0o604
    assert files.diffs == [
        {"before_header": str(tmp_path / "f"), "after_header": str(tmp_path / "f"), "before": "old", "after": "new"}
    ]


def test_attributes_alone_do_not_rewrite(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "f").chmod(0o600)
    inode = (tmp_path / "f").stat().st_ino
    files = bring(item(tmp_path / "f", mode="644"))
    assert (mode_of(tmp_path / "f"), (tmp_path / "f").stat().st_ino) == (0o644, inode)
    assert [(diff["before"], diff["after"]) for diff in files.diffs] == [
        ("state: file\nmode: '0600'\n", "state: file\nmode: '0644'\n")
    ]


def test_owner_by_name_and_number(tmp_path: Path) -> None:
    owner, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    wanted = [
        item(tmp_path / "a", content="x", owner=owner, group=group),
        item(tmp_path / "b", content="x", owner=str(os.getuid()), group=str(os.getgid())),
    ]
    assert len(bring(*wanted).changed_paths) == 2
    assert bring(*wanted).changed_paths == []


def test_unknown_owner_is_an_error_but_not_in_check_mode(tmp_path: Path) -> None:
    wanted = item(tmp_path / "a", content="x", owner="no-such-user")
    assert bring(wanted, check_mode=True).changed_paths == [str(tmp_path / "a")]
    with pytest.raises(EntryError, match="the owner 'no-such-user' does not exist"):
        bring(wanted)
    assert not (tmp_path / "a").exists()


def test_missing_parent_is_an_error_but_not_in_check_mode(tmp_path: Path) -> None:
    wanted = item(tmp_path / "no" / "a", content="x")
    assert bring(wanted, check_mode=True).changed_paths == [str(tmp_path / "no" / "a")]
    with pytest.raises(EntryError, match=r"/no does not exist. Set parents"):
        bring(wanted)


def test_sensitive_content_is_in_no_diff(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old secret")
    files = bring(
        item(tmp_path / "f", content="new secret", sensitive=True),
        item(tmp_path / "g", content="secret", sensitive=True),
    )
    assert "secret" not in str(files.diffs)
    assert len(files.changed_paths) == 2
    assert mode_of(tmp_path / "g") == 0o600


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b", b"x" * 200_000])
def test_diff_of_what_is_not_short_text(tmp_path: Path, content: bytes) -> None:
    files = bring(item(tmp_path / "f", content_base64=base64.b64encode(content).decode()))
    assert files.diffs[-1]["after"].startswith(f"({len(content)} bytes")


def test_links(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("untouched")
    (tmp_path / "link").symlink_to("target")
    # A file replaces the link, it is not written through it.
    assert bring(item(tmp_path / "link", content="x")).changed_paths == [str(tmp_path / "link")]
    assert (tmp_path / "target").read_text() == "untouched"
    assert not (tmp_path / "link").is_symlink()
    # A link replaces the file, and another link.
    bring(item(tmp_path / "link", "link", src="target"))
    bring(item(tmp_path / "link", "link", src="other"))
    assert os.readlink(tmp_path / "link") == "other"  # noqa: PTH115 - as it is written
    bring(item(tmp_path / "link", "absent"))
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").exists()


def test_absent_takes_all_that_is_in_a_directory(tmp_path: Path) -> None:
    bring(item(tmp_path / "d" / "e" / "f", content="x"), parents=True)
    assert bring(item(tmp_path / "d", "absent"), check_mode=True).changed_paths == [str(tmp_path / "d")]
    assert (tmp_path / "d" / "e" / "f").exists()
    assert bring(item(tmp_path / "d", "absent")).changed_paths == [str(tmp_path / "d")]
    assert bring(item(tmp_path / "d", "absent")).changed_paths == []


def test_what_is_not_replaced_silently(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("x")
    (tmp_path / "l").symlink_to("d")
    for wanted, reason in (
        (item(tmp_path / "d", content="x"), "is a directory, and shall become a file"),
        (item(tmp_path / "d", "link", src="x"), "is a directory, and shall become a link"),
        (item(tmp_path / "f", "directory"), "is a file, and shall become a directory"),
        (item(tmp_path / "l", "directory"), "symbolic link to a directory"),
        (item(tmp_path / "f" / "x", content="x"), "a file stands where"),
        (item(tmp_path / "nothing"), "does not exist and no content was given"),
    ):
        with pytest.raises(EntryError, match=reason):
            bring(wanted)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        bring(item(tmp_path / "f", content="new"))
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_text() == "old"


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    versions = {"a" * 300_000, "b" * 300_000}
    path = tmp_path / "f"
    path.write_text("a" * 300_000)
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(40):
        bring(item(path, content=("b" if i % 2 else "a") * 300_000))
    stop.set()
    reader.join()
    assert seen <= versions


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (item("relative", content="x"), "not absolute"),
        (item("/", "absent"), "is no entry"),
        (item("/x", content="x", content_base64="eA=="), "exclude each other"),
        (item("/x", content_base64="%%"), "not Base64"),
        (item("/x", "directory", content="x"), "goes with state file"),
        (item("/x", "link"), "src is needed"),
        (item("/x", content="x", src="y"), "src is needed"),
        (item("/x", "absent", mode="0644"), "takes no mode"),
        (item("/x", content="x", mode=420), "not an octal number in quotes"),
        (item("/x", content="x", mode="u+x"), "not an octal number in quotes"),
    ],
)
def test_entries_that_make_no_sense(wanted: dict[str, t.Any], reason: str) -> None:
    with pytest.raises(EntryError, match=reason):
        parse_entries([wanted])


def test_all_errors_at_once() -> None:
    with pytest.raises(EntryError) as caught:
        parse_entries([item("a", content="x"), item("/b", "link"), item("/c", content="x"), item("/c/", "absent")])
    assert str(caught.value).splitlines() == [
        "a: the path is not absolute.",
        "/b: src is needed for state link, and for that alone.",
        "/c: stands in the list twice.",
    ]


@pytest.mark.parametrize(
    ("text", "mode"),
    [("0644", 0o644), ("644", 0o644), ("0o755", 0o755), ("2750", 0o2750), ("01777", 0o1777), (None, None)],
)
def test_modes(text: str | None, mode: int | None) -> None:
    assert module.parse_mode(text, "/x") == mode
