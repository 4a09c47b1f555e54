# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.filter.mirrored_image import mirrored_image

DIGEST = "sha256:" + "ab" * 32
MIRRORS = {"ghcr.io": "manager-1:5002", "quay.io:443": "manager-1:5003"}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("debian", "debian"),
        ("debian:13", "debian:13"),
        ("docker.io/library/debian:13", "debian:13"),
        ("index.docker.io/owner/name", "owner/name"),
        ("owner/name:1.2", "owner/name:1.2"),
        (f"ghcr.io/owner/name@{DIGEST}", f"manager-1:5002/owner/name@{DIGEST}"),
        (f"ghcr.io/owner/deep/name:1@{DIGEST}", f"manager-1:5002/owner/deep/name:1@{DIGEST}"),
        ("quay.io:443/a/b__c:x", "manager-1:5003/a/b__c:x"),
    ],
)
def test_name_on_the_mirror(reference, expected):
    assert mirrored_image(reference, MIRRORS) == expected


def test_docker_hub_by_name_if_it_has_a_mirror_of_its_own():
    assert mirrored_image("debian:13", {"docker.io": "proxyhost-1:5000"}) == "proxyhost-1:5000/library/debian:13"


def test_registry_without_a_mirror_is_named():
    with pytest.raises(AnsibleFilterError, match=r"is on gcr.io, .* \(it has: docker.io, ghcr.io, quay.io:443\)"):
        mirrored_image("gcr.io/a/b", MIRRORS)


@pytest.mark.parametrize("reference", ["", "Debian", "debian:", "a//b", "debian@sha256:12", "-x", "ghcr.io/"])
def test_what_is_no_reference_is_refused(reference):
    with pytest.raises(AnsibleFilterError, match="is no reference"):
        mirrored_image(reference, MIRRORS)
