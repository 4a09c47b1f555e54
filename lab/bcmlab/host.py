# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine has: packages, package mirrors, extra certificates, its control groups."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from .config import RECIPES, LabError
from .proc import last_words, run

APT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
APT_OPTIONS = ["-o", "Dpkg::Options::=--force-confold", "-o", "DPkg::Lock::Timeout=600", "-q"]


@dataclass(frozen=True)
class Mirrors:
    """The machine's own package mirrors."""

    debian: str
    security: str | None


def package_list(name: str) -> list[str]:
    """The packages named in one of the lab's lists; what follows a # is a remark."""
    lines = (RECIPES / "packages" / f"{name}.txt").read_text().splitlines()
    return [word for line in lines for word in line.partition("#")[0].split()]


def install_packages(of: str = "host") -> str:
    """Install what the machine lacks of a list. Nothing else of the machine is changed for good."""
    wanted = package_list(of)
    query = run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *wanted], check=False)
    have = {line.split()[0] for line in query.stdout.splitlines() if line.split()[1:] == ["ii"]}
    missing = [name for name in wanted if name not in have]
    if not missing:
        return ""
    if os.geteuid() != 0:
        raise LabError(f"packages are missing ({' '.join(missing)}) and installing them needs root: run it as root.")
    with _no_service_starts():
        install = ["apt-get", "install", "-y", "--no-install-recommends", *APT_OPTIONS, *missing]
        if run(install, env=APT, timeout=900, check=False).returncode != 0:
            # The lists of packages may be old, or were never fetched.
            _update_lists()
            run(install, env=APT, timeout=900)
    return f"installed {len(missing)} packages: {', '.join(missing[:4])}{', …' if len(missing) > 4 else ''}"


def _update_lists(seconds: int = 300) -> None:
    """apt waits for the lock of the packages, but not for that of their lists."""
    deadline = time.monotonic() + seconds
    while True:
        done = run(["apt-get", "update", *APT_OPTIONS], env=APT, check=False)
        if done.returncode == 0:
            return
        if "Could not get lock" not in done.stderr or time.monotonic() > deadline:
            raise LabError(f"apt-get update ended with {done.returncode}: {last_words(done.stderr)}")
        time.sleep(2)


class _no_service_starts:  # noqa: N801 - reads as a statement
    """Without systemd, packages must not start their daemons by themselves: the lab starts its own."""

    policy = Path("/usr/sbin/policy-rc.d")

    def __enter__(self) -> None:
        self.ours = not self.policy.exists() and not Path("/run/systemd/system").exists()
        if self.ours:
            self.policy.write_text("#!/bin/sh\nexit 101\n")
            self.policy.chmod(0o755)

    def __exit__(self, *exc: object) -> None:
        if self.ours:
            self.policy.unlink(missing_ok=True)


def machine_mirrors(etc_apt: Path = Path("/etc/apt")) -> Mirrors:
    """The Debian mirrors that the machine itself uses."""
    entries: list[tuple[str, str]] = []
    files = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]
    for path in files:
        if path.suffix == ".list" and path.is_file():
            entries += one_line_sources(path.read_text())
        elif path.suffix == ".sources" and path.is_file():
            entries += deb822_sources(path.read_text())
    return choose_mirrors(entries, etc_apt)


def one_line_sources(text: str) -> list[tuple[str, str]]:
    """(URI, suite) of each line such as `deb [options] URI suite components`."""
    found = []
    for raw in text.splitlines():
        line = re.sub(r"\[[^\]]*\]", " ", raw.partition("#")[0])
        words = line.split()
        if len(words) >= 3 and words[0] == "deb":
            found.append((words[1], words[2]))
    return found


def deb822_sources(text: str) -> list[tuple[str, str]]:
    """(URI, suite) of each pair in a file of deb822 stanzas."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, list[str]] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields.setdefault(name, []).extend(line.split())
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.split()
        if fields.get("enabled", ["yes"])[0].lower() in {"no", "false", "0"} or "deb" not in fields.get("types", []):
            continue
        found += [(uri, suite) for uri in fields.get("uris", []) for suite in fields.get("suites", [])]
    return found


def choose_mirrors(entries: list[tuple[str, str]], source: Path) -> Mirrors:
    """The first Debian mirror, and the first one of its security updates."""
    security = [uri for uri, suite in entries if suite.endswith(("-security", "/updates"))]
    debian = [uri for uri, suite in entries if re.fullmatch(r"[a-z]+(-updates)?", suite) and "debian" in uri]
    debian = [uri for uri in debian if uri not in security]
    if not debian:
        raise LabError(
            f"no Debian mirror found below {source}: the lab makes its images from the machine's own mirror."
        )
    return Mirrors(debian[0].rstrip("/"), security[0].rstrip("/") if security else None)


def sources_file(mirrors: Mirrors, suite: str) -> str:
    """A deb822 file for a Debian of ours, with the machine's mirrors."""
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    stanzas = [(mirrors.debian, f"{suite} {suite}-updates")]
    if mirrors.security:
        stanzas.append((mirrors.security, f"{suite}-security"))
    return "\n".join(
        f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {keyring}\n"
        for uri, suites in stanzas
    )


def apt_proxy_options() -> list[str]:
    """The machine's own apt proxies, as apt's options."""
    dump = run(["apt-config", "dump", "--format", "%f=%v%n"]).stdout
    return [line for line in dump.splitlines() if re.match(r"Acquire::(http|https)::proxy=.+", line, re.IGNORECASE)]


def extra_certificates(directory: Path = Path("/usr/local/share/ca-certificates")) -> list[str]:
    """Certificates that the machine's owner has added, such as those of a company's proxy."""
    return [str(path) for path in sorted(directory.rglob("*.crt"))]


def architecture() -> str:
    """Debian's word for the machine's architecture."""
    return run(["dpkg", "--print-architecture"]).stdout.strip()


def needs_own_cgroups() -> bool:
    """Whether the machine shows anything but one pure cgroup2 tree: then nested LXD fails."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if where == "/sys/fs/cgroup":
            return kind != "cgroup2"
    return True


def require_root() -> None:
    """LXD, mounts and bridges are root's."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root: it runs an LXD daemon. Run it as root.")


def require_space(path: Path, gib: float) -> None:
    """Say it now rather than when an image is half written."""
    where = path
    while not where.exists():
        where = where.parent
    free = shutil.disk_usage(where).free / 2**30
    if free < gib:
        raise LabError(f"{where} has {free:.1f} GiB free, the lab needs {gib:.0f} GiB: make room or set BCM_LAB_DIR.")


# What many containers together need of the kernel, as LXD's own production guide has it: all of them count as one user.
KERNEL_LEAST = {
    "fs/inotify/max_user_instances": 8192,
    "fs/inotify/max_user_watches": 1048576,
    "kernel/keys/maxkeys": 2000,
    "kernel/keys/maxbytes": 2000000,
}


def kernel_settings(root: Path = Path("/proc/sys")) -> str:
    """Raise what falls short. It lasts until the machine boots again; more than asked for is left."""
    raised = []
    for name, least in KERNEL_LEAST.items():
        setting = root / name
        if int(setting.read_text()) >= least:
            continue
        try:
            setting.write_text(f"{least}\n")
        except OSError as error:
            raise LabError(f"{name.replace('/', '.')} must be at least {least}, and cannot be set: {error}") from error
        raised.append(name.rpartition("/")[2])
    return f"raised {', '.join(raised)}" if raised else ""
