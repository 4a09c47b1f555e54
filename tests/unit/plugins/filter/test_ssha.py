# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.filter.ssha import ssha

PASSWORD = "a long password that nobody guesses"


def test_is_what_nginx_computes():
    raw = base64.b64decode(ssha(PASSWORD).removeprefix("{SSHA}"))
    digest, salt = raw[:20], raw[20:]
    assert hashlib.sha1(PASSWORD.encode() + salt).digest() == digest  # noqa: S324


def test_is_the_same_each_time_and_another_for_another_password():
    assert ssha(PASSWORD) == ssha(PASSWORD)
    assert ssha(PASSWORD) != ssha(PASSWORD + "x")


def test_short_passwords_are_refused():
    with pytest.raises(AnsibleFilterError, match="at least 20"):
        ssha("short")


def test_takes_the_words_that_stand_for_a_password_in_check_mode():
    assert ssha("(would be made)").startswith("{SSHA}")
