# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands in instances cannot be made to show on a real server, for it is a race of its own."""

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_exec import CONTROL, ConnectionLostError, Process


class Channel:
    closed = False

    def close(self) -> None:
        self.closed = True


class Server:
    """Tells the status of a command that has ended once the control channel has, or never."""

    def __init__(self, control: Channel, tells: bool = True) -> None:
        self.control, self.tells = control, tells

    def operation_state(self, operation: str, seconds: int) -> dict[str, object]:
        over = self.tells and self.control.closed
        return {"status_code": 200 if over else 103, "metadata": {"return": 3}}


def ended(monkeypatch: pytest.MonkeyPatch, server: Server, timeout: float) -> Process:
    """A command whose output has ended."""
    monkeypatch.setattr(Process, "_start", lambda *_arguments: None)
    process = Process(server, "one", ["true"], timeout=timeout)
    process._sockets[CONTROL] = server.control
    return process


def test_a_server_that_waits_for_the_control_channel_is_helped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(monkeypatch, Server(Channel()), 30).wait() == 3


def test_a_status_that_never_comes_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectionLostError, match="has not told the exit status within 0.01 s"):
        ended(monkeypatch, Server(Channel(), tells=False), 0.01).wait()
