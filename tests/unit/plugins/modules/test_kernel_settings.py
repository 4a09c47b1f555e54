# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.modules.kernel_settings import (
    HEAD,
    Kernel,
    Plan,
    SettingError,
    kept_in,
    wanted,
    write,
)


class HostsKernel(Kernel):
    """That of a container's host: readable, and not to be changed. Root may write any file, so it is said here."""

    def may_set(self, name: str) -> bool:
        return not name.startswith("fs.") and super().may_set(name)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    for name, value in {"fs/inotify/max": "128", "net/core/most": "4096", "net/range": "1\t9"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    return Kernel(tmp_path)


def test_what_falls_short_is_raised_and_the_rest_left(kernel: Kernel) -> None:
    plan = Plan(kernel, {"fs.inotify.max": 8192, "net.core.most": 1024}, set())
    assert plan.raised == {"fs.inotify.max": 128}
    assert plan.text == HEAD + "fs.inotify.max = 8192\n"
    assert plan.findings == []


def test_what_was_raised_before_stays_written_down(kernel: Kernel) -> None:
    kernel.set("fs.inotify.max", 8192)
    plan = Plan(kernel, {"fs.inotify.max": 8192}, kept_in(HEAD + "fs.inotify.max = 8192\nnet.core.most = 1\n"))
    assert plan.raised == {}
    assert plan.text == HEAD + "fs.inotify.max = 8192\n"


def test_nothing_asked_for_leaves_no_file(kernel: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "sysctl.d/99.conf"
    write(file, Plan(kernel, {"net.core.most": 5000}, set()).text)
    assert file.read_text().endswith("net.core.most = 5000\n")
    write(file, Plan(kernel, {}, kept_in(file.read_text())).text)
    assert not file.exists()
    assert list(file.parent.iterdir()) == []


def test_what_belongs_to_the_host_is_a_finding(kernel: Kernel) -> None:
    plan = Plan(
        HostsKernel(kernel.root), {"fs.inotify.max": 8192, "net.core.most": 5000, "vm.none": 1}, {"fs.inotify.max"}
    )
    assert plan.raised == {"net.core.most": 4096}
    assert "fs.inotify" not in plan.text
    assert plan.findings == [
        "fs.inotify.max is 128, should be at least 8192, and cannot be changed from here",
        "vm.none should be at least 1, and this kernel has no such setting",
    ]


@pytest.mark.parametrize("value", ["many", True, -1, "1 2"])
def test_only_numbers_can_be_asked_for(value: object) -> None:
    with pytest.raises(SettingError, match="not a number"):
        wanted({"net.core.most": value})


def test_a_setting_of_two_numbers_is_refused(kernel: Kernel) -> None:
    with pytest.raises(SettingError, match="not one number"):
        Plan(kernel, {"net.range": 5}, set())
