# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.modules.sshd_drop_in import (
    DropInError,
    Sshd,
    overruled,
    redirected,
    settings,
)

CONFIG = Path("/etc/ssh/sshd_config")
OURS = Path("/etc/ssh/sshd_config.d/00-ours.conf")
COPY = Path("/copy/d")


@pytest.mark.parametrize(
    "line",
    [
        "Include /etc/ssh/sshd_config.d/*.conf",
        "include sshd_config.d/*.conf",
        'Include "/etc/ssh/sshd_config.d/*.conf" # theirs',
        "Include=/etc/ssh/sshd_config.d/*.conf",
    ],
)
def test_the_directory_is_led_to_its_copy(line: str) -> None:
    text = redirected(f"# mine\n{line}\nPort 2222\n", OURS, COPY, CONFIG)
    assert text == '# mine\nInclude "/copy/d/*.conf"\nPort 2222\n'


def test_other_includes_stay() -> None:
    text = redirected("Include /etc/ssh/more /etc/ssh/sshd_config.d/*\n", OURS, COPY, CONFIG)
    assert text == 'Include "/etc/ssh/more" "/copy/d/*"\n'


@pytest.mark.parametrize(
    "text",
    [
        "Port 22\n",
        "# Include /etc/ssh/sshd_config.d/*.conf\n",
        "Include /etc/ssh/sshd_config.d/50-*.conf\n",
        "Include /etc/ssh/other.d/*.conf\n",
        "Match User somebody\nInclude /etc/ssh/sshd_config.d/*.conf\n",
    ],
)
def test_a_configuration_that_does_not_include_it(text: str) -> None:
    with pytest.raises(DropInError, match=r"does not include .*00-ours.conf.*at its top.*Nothing was touched"):
        redirected(text, OURS, COPY, CONFIG)


def test_what_sshd_says() -> None:
    found = settings("port 22\nport 2222\npasswordauthentication no\nallowusers somebody\n")
    assert found == {"port": ["22", "2222"], "passwordauthentication": ["no"], "allowusers": ["somebody"]}


def test_what_does_not_count_is_told() -> None:
    ours = "# no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nLoginGraceTime 2m\nMatch all\nX11Forwarding no\n"
    effective = {
        "passwordauthentication": ["yes"],
        "permitrootlogin": ["without-password"],
        "logingracetime": ["120"],
        "x11forwarding": ["yes"],
    }
    assert overruled(ours, effective) == [
        "PasswordAuthentication no does not count: something that sshd reads before says yes"
    ]


class RecordingSshd(Sshd):
    """Reads what a real one would be given, and complains of settings that it does not know."""

    def __init__(self) -> None:
        super().__init__("/nowhere/sshd")
        self.read = ""

    def run(self, *arguments: str) -> tuple[int, str, str]:
        main = Path(arguments[-1])
        copied = sorted((main.parent / "d").glob("*.conf"))
        self.read = main.read_text() + "".join(path.name + ": " + path.read_text() for path in copied)
        if "Nonsense" in self.read:
            return 255, "", f"{copied[0]}: line 1: Bad configuration option: Nonsense\n"
        return 0, "port 22\n", ""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/50-theirs.conf").write_text("X11Forwarding no\n")
    (tmp_path / "d/00-ours.conf").write_text("Port 1\n")
    (tmp_path / "sshd_config").write_text(f"Include {tmp_path}/d/*.conf\n")
    return tmp_path / "sshd_config"


def test_the_whole_is_checked_with_the_new_file_and_nothing_is_written(config: Path) -> None:
    sshd, path = RecordingSshd(), config.parent / "d/00-ours.conf"
    assert sshd.effective(config, path, "Port 22\n") == {"port": ["22"]}
    assert sshd.read.splitlines()[1:] == ["00-ours.conf: Port 22", "50-theirs.conf: X11Forwarding no"]
    sshd.effective(config, path, None)
    assert sshd.read.splitlines()[1:] == ["50-theirs.conf: X11Forwarding no"]
    assert path.read_text() == "Port 1\n"


def test_a_refusal_names_the_file_by_its_own_name(config: Path) -> None:
    path = config.parent / "d/00-ours.conf"
    with pytest.raises(DropInError, match=rf"{path}: line 1: Bad configuration option: Nonsense Nothing was touched"):
        RecordingSshd().effective(config, path, "Nonsense yes\n")
    assert path.read_text() == "Port 1\n"
