# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let a plain ``pytest tests/unit`` in the checkout import the collection by its own name.

ansible-test brings its own import machinery; there, nothing is left to do.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def _make_collection_importable() -> None:
    if "ansible_pytest_collections" in os.environ.get("PYTEST_PLUGINS", ""):
        return
    from ansible.utils.collection_loader import AnsibleCollectionConfig
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    if AnsibleCollectionConfig.collection_finder is None:
        # The link collections/ansible_collections/bcm/datacenter leads back to the checkout.
        _AnsibleCollectionFinder(paths=[str(CHECKOUT / "collections"), *sys.path])._install()


_make_collection_importable()


@pytest.fixture
def fixtures(request: pytest.FixtureRequest) -> Path:
    """The folder ``fixtures`` beside the test's file."""
    return Path(request.path).parent / "fixtures"
