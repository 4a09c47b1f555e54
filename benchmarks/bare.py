# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The peer that site.yml is measured against: the same LXD, apt and Docker operations as somebody's script would do them.

It copies a site that stands, stage by stage, with `lxc`, `tar`, `apt-get` and `docker` alone. It has no knowledge of its
own: instances, networks and configuration files are read from the site beforehand, outside the measured time. What has to
be made for a site to exist is made (an authority and a certificate too, although the copied ones are used), what was
started is waited for, and a configuration is tested before it is loaded. It does less than the site's roles all the same:
it makes no password, asks for no state before it acts, and looks at nothing afterwards. That is in the peer's favour.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PROJECT = "bench-bare"
# Packages that the roles install: into the proxyhost by themselves, into the others through the image.
GATEWAY_PACKAGES = ["squid", "docker-registry", "nginx-light", "nftables", "keepalived", "curl", "ca-certificates"]
IMAGE_PACKAGES = [
    "apache2-utils", "ca-certificates", "curl", "docker-registry", "docker-cli", "docker.io", "gnupg", "iptables", "jq",
    "nftables", "nginx-light", "python3", "python3-docker",
]  # fmt: skip
# What of a host's configuration is its own and not to be copied.
OWN = ["machine-id", "hostname", "netplan", "ssh", "cloud", "resolv.conf", "systemd/network", "fstab"]
CERTIFICATES = """
cd "$(mktemp -d)"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=bare -days 3650
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout registry.key -out registry.csr -subj /CN=registry.bare
openssl x509 -req -in registry.csr -CA ca.pem -CAkey ca.key -out registry.pem -days 365
rm -rf "$PWD"
"""
LISTENS = "until ss -Hltn sport = :%d | grep -q .; do sleep 0.1; done"
APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Options::=--force-confold"


class Peer:
    """A second site beside the first, made by hand."""

    def __init__(self, site: str, env: dict[str, str], outside: str, downloads: str, image_server: str) -> None:
        """
        Args:
            site: Name of the site that is copied.
            env: Environment of `lxc`.
            outside: The first three numbers of a subnet that nobody uses, for the proxyhost's way out.
            downloads: Base URL of Bitcoin's releases.
            image_server: URL and alias of the base image, with a space between.
        """
        self.site, self.env, self.outside, self.downloads = site, env, outside, downloads
        self.image_server, self.image = image_server.split()
        listing = json.loads(self.lxc("query", f"/1.0/instances?recursion=1&project=bcm-{site}"))
        self.instances: dict[str, dict[str, Any]] = {item["name"]: item for item in listing}
        self.networks = {
            network["name"]: network
            for network in json.loads(self.lxc("query", "/1.0/networks?recursion=1"))
            if network["config"].get("user.bcm.site") == site
        }
        self.etc = {name: self.configuration(name) for name in self.instances}
        self.service = json.loads(self.there("manager-1", "docker service inspect $(docker service ls -q)"))[0]["Spec"]
        self.old_outside = next(
            network["config"]["ipv4.address"].rsplit(".", 1)[0]
            for network in self.networks.values()
            if network["config"]["user.bcm.network"] == "outside"
        )

    def lxc(self, *argv: str, given: bytes | str | None = None) -> str:
        given = given.encode() if isinstance(given, str) else given
        done = subprocess.run(["lxc", *argv], env=self.env, input=given or b"", capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"lxc {' '.join(argv)[:300]}: {done.stderr.decode()[-2000:]}")
        return done.stdout.decode(errors="replace")

    def there(self, name: str, script: str) -> str:
        """In an instance of the site that stands."""
        return self.lxc("--project", f"bcm-{self.site}", "exec", name, "--", "sh", "-ec", script)

    def sh(self, name: str, script: str, given: bytes | None = None) -> str:
        """In an instance of the peer's."""
        return self.lxc("--project", PROJECT, "exec", "-T", name, "--", "sh", "-ec", script, given=given)

    def configuration(self, name: str) -> bytes:
        """The configuration of a host, with the directories that its services need, as a tar archive."""
        leave = " ".join(f"--exclude=etc/{path}" for path in OWN)
        argv = ["lxc", "--project", f"bcm-{self.site}", "exec", name, "--", "sh", "-ec"]
        script = (
            f"cd /; {{ find etc usr/local root ! -type d; find var/lib/registry-cache var/lib/private-registry "
            f"var/lib/bcm var/cache/nginx -maxdepth 2 -type d 2>/dev/null || true; }} | tar -c --no-recursion {leave} -T -"
        )
        return subprocess.run(
            [*argv, script], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=True
        ).stdout

    def configure(self, name: str) -> None:
        self.sh(name, f"tar -xC / -f - && sed -i 's/{self.old_outside}/{self.outside}/g' /etc/hosts $(ls /etc/bcm/*.nft)"
                if name.startswith("proxyhost") else "tar -xC / -f -", given=self.etc[name])  # fmt: skip

    def launch(self, name: str, image: str) -> None:
        """One instance as the site has it, on the networks of the peer."""
        item = self.instances[name]
        kept = {k: v for k, v in item["config"].items() if not k.startswith(("volatile.", "image.", "user."))}
        kept["cloud-init.network-config"] = kept["cloud-init.network-config"].replace(self.old_outside, self.outside)
        kept["security.nesting"] = "true"
        devices = {}
        for key, device in item["devices"].items():
            devices[key] = dict(device)
            if device["type"] == "nic":
                devices[key]["network"] = self.named(device["network"])
            else:
                devices[key]["pool"] = PROJECT
        for device in devices.values():
            if "source" in device:
                self.lxc("--project", PROJECT, "storage", "volume", "create", PROJECT, device["source"], "size=5GiB")
        self.lxc("--project", PROJECT, "init", image, name, given=json.dumps({"config": kept, "devices": devices}))
        self.lxc("--project", PROJECT, "start", name)
        self.ready(name)

    def ready(self, name: str) -> None:
        self.until(lambda: self.sh(name, "systemctl is-system-running || true").strip() in ("running", "degraded"))
        self.sh(name, "cloud-init status --wait >/dev/null || true")

    def until(self, works: Callable[[], Any], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if works():
                    return
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
            if time.monotonic() > deadline:
                raise RuntimeError("it did not come about")
            time.sleep(0.2)

    def named(self, network: str) -> str:
        return "bare-" + network.split("-")[1]

    # The stages, under the names that those of site.yml have.

    def fabric(self) -> None:
        self.lxc("project", "create", PROJECT, "-c", "features.images=true", "-c", "features.profiles=true")
        self.lxc("storage", "create", PROJECT, "btrfs", "size=40GiB")
        for name, network in self.networks.items():
            keys = [f"{k}={v}" for k, v in network["config"].items() if k.startswith("ipv")]
            keys = [key.replace(self.old_outside, self.outside) for key in keys]
            self.lxc("network", "create", self.named(name), *keys)

    def gateway(self) -> None:
        source = {
            "type": "image",
            "mode": "pull",
            "protocol": "simplestreams",
            "server": self.image_server,
            "alias": self.image,
        }
        # `lxc remote add` takes no plain http, the API does.
        wanted = json.dumps({"source": source, "aliases": [{"name": "base"}]})
        self.lxc("query", "--wait", "-X", "POST", "-d", wanted, f"/1.0/images?project={PROJECT}")
        # A pull through the API sets no alias in LXD 5.0.
        (found,) = json.loads(self.lxc("query", f"/1.0/images?project={PROJECT}"))
        if "base" not in self.lxc("--project", PROJECT, "image", "alias", "list", "--format", "csv"):
            self.lxc("--project", PROJECT, "image", "alias", "create", "base", found.rsplit("/", 1)[1].split("?")[0])
        self.launch("proxyhost-1", "base")
        self.prepare("proxyhost-1", "proxyhost-1")
        self.sh("proxyhost-1", f"{APT} update && {APT} install --no-install-recommends {' '.join(GATEWAY_PACKAGES)}")
        self.configure("proxyhost-1")
        self.sh(
            "proxyhost-1",
            "systemctl daemon-reload; systemctl disable -q --now docker-registry; systemctl restart systemd-resolved;"
            "/usr/lib/systemd/systemd-sysctl /etc/sysctl.d/60-bcm-floating-address.conf; keepalived --config-test;"
            "squid -k parse 2>/dev/null; nginx -qt; systemctl enable -q squid nginx keepalived registry-cache@5000 registry-cache-trim.timer;"
            "systemctl restart keepalived bcm-gateway-firewall squid registry-cache@5000 nginx registry-cache-trim.timer;"
            + "; ".join(LISTENS % port for port in (3128, 5000))
            + "; /usr/local/lib/bcm/bcm-floating-address wait /etc/bcm/floating-address.json 60",
        )

    def prepare(self, name: str, like: str) -> None:
        """Sources of packages, proxy and authorities, and nothing that starts by being installed."""
        self.sh(
            name,
            """mkdir /tmp/c && tar -xC /tmp/c -f - && rm -r /etc/apt/sources.list.d
            cp -a /tmp/c/etc/apt /tmp/c/etc/hosts /etc/; cp -a /tmp/c/usr/local/share /usr/local/; rm -rf /tmp/c
            update-ca-certificates >/dev/null 2>&1
            printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d""",
            given=self.etc[like],
        )

    def golden(self) -> None:
        own = json.loads(self.instances["manager-1"]["config"]["cloud-init.network-config"])["ethernets"]["gateway"]
        net = {"ethernets": {"gateway": {"addresses": [own["addresses"][0].replace(".1/", ".250/")]}}, "version": 2}
        proxy = json.loads(self.there("manager-1", "cat /etc/docker/daemon.json"))["proxies"]["http-proxy"]
        nic = {"gateway": {"name": "gateway", "network": "bare-gateway", "type": "nic"},
               "root": {"path": "/", "pool": PROJECT, "type": "disk"}}  # fmt: skip
        settings = {"config": {"cloud-init.network-config": json.dumps(net)}, "devices": nic}
        self.lxc("--project", PROJECT, "init", "base", "builder", given=json.dumps(settings))
        self.lxc("--project", PROJECT, "start", "builder")
        self.ready("builder")
        self.prepare("builder", "manager-1")
        self.sh("builder", f"echo 'Acquire::http::Proxy \"{proxy}\";' >/etc/apt/apt.conf.d/00proxy")
        unsafe = "-o Dpkg::Options::=--force-unsafe-io"
        self.sh("builder", f"{APT} update && {APT} {unsafe} install --no-install-recommends {' '.join(IMAGE_PACKAGES)}")
        self.sh(
            "builder",
            "systemctl disable -q containerd docker.service docker.socket docker-registry nginx;"
            "rm -f /usr/sbin/policy-rc.d; apt-get clean; cloud-init clean --logs --machine-id",
        )
        self.lxc("--project", PROJECT, "stop", "builder")
        self.lxc("--project", PROJECT, "publish", "builder", "--alias", "golden", "--compression", "none")
        self.lxc("--project", PROJECT, "delete", "builder")

    def swarm(self) -> None:
        engines = [name for name in self.instances if not name.startswith("proxyhost")]
        self.at_once(lambda name: self.launch(name, "golden"), engines)
        self.at_once(self.configure, engines)
        self.sh("manager-1", f"({CERTIFICATES}) 2>/dev/null")
        start = (
            "systemctl daemon-reload; systemctl enable -q containerd docker;"
            "systemctl disable -q --now docker-registry; systemctl restart docker"
        )
        self.at_once(
            lambda name: self.sh(name, f"{start}; systemctl start bcm-data-services bcm-published-ports.path"), engines
        )
        managers = [name for name in engines if name.startswith("manager")]
        units = "systemctl enable -q --now registry-cache@5000 registry-cache-trim.timer nginx; systemctl restart nginx"
        self.at_once(
            lambda name: self.sh(name, f"nginx -qt; {units}; {LISTENS % 5000}"),
            managers[1:],
        )
        self.sh("manager-1", f"nginx -qt; {units} private-registry; {LISTENS % 5000}; {LISTENS % 5443}")
        address = {name: self.address(name) for name in engines}
        self.sh("manager-1", f"docker swarm init --advertise-addr {address['manager-1']} "
                "--default-addr-pool 172.28.0.0/15 >/dev/null")  # fmt: skip
        for name in [name for name in engines if name != "manager-1"]:
            token = self.sh(
                "manager-1", f"docker swarm join-token -q {'manager' if name in managers else 'worker'}"
            ).strip()
            self.sh(
                name, f"docker swarm join --advertise-addr {address[name]} --token {token} {address['manager-1']}:2377"
            )
        ready = "docker node ls --format '{{.Status}}' | grep -c Ready"
        self.until(lambda: self.sh("manager-1", ready).strip() == str(len(engines)))
        for name in managers:
            self.sh(name, "systemctl enable -q --now bcm-swarm-sessions")

    def bitcoin(self, version: str, user: str, password: str) -> None:
        """A node's image of a release whose signatures are looked at, and the service."""
        container = self.service["TaskTemplate"]["ContainerSpec"]
        registry, name = container["Image"].split("@")[0].split("/")
        push = f"{registry.rsplit(':', 1)[0]}:5444"
        file = f"bitcoin-{version}-x86_64-linux-gnu.tar.gz"
        base = f"{self.downloads}/{version}"
        files = self.lxc("--project", f"bcm-{self.site}", "exec", "bitcoin-1", "--", "docker", "ps", "-q").split()[0]
        scripts = subprocess.run(
            ["lxc", "--project", f"bcm-{self.site}", "exec", "bitcoin-1", "--", "sh", "-ec",
             f"mkdir /tmp/b; for i in entrypoint health status; do docker cp -q {files}:/opt/bitcoin/bin/bitcoin-$i /tmp/b/; done;"
             "tar -cC /tmp/b .; rm -r /tmp/b"], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=True
        ).stdout  # fmt: skip
        dockerfile = (
            "FROM library/debian:13-slim\\nCOPY --chown=root bitcoin /opt/bitcoin\\n"
            f'USER {container["User"]}\\nENTRYPOINT [\\"/opt/bitcoin/bin/bitcoin-entrypoint\\"]\\n'
        )
        self.sh(
            "manager-1",
            f"""mkdir -p /root/b/bitcoin/bin && tar -xC /root/b/bitcoin/bin -f - && cd /root/b
            export http_proxy=$(sed -n 's/.*"http-proxy": "\\(.*\\)",/\\1/p' /etc/docker/daemon.json)
            for f in {file} SHA256SUMS SHA256SUMS.asc; do curl -sfO {base}/$f; done
            sha256sum --quiet -c --ignore-missing SHA256SUMS; gpg --list-packets SHA256SUMS.asc >/dev/null
            tar -xf {file} -C bitcoin --strip-components=1; rm -rf {file} bitcoin/bin/*-qt bitcoin/bin/test*
            printf "{dockerfile}" >Dockerfile
            cp -r /etc/docker/certs.d/{registry} /etc/docker/certs.d/{push}
            echo {password} | docker login -u {user} --password-stdin {push} >/dev/null 2>&1
            DOCKER_BUILDKIT=0 docker build -q -t {push}/{name}:1 . >/dev/null 2>&1
            docker push -q {push}/{name}:1 >/dev/null""",
            given=scripts,
        )
        mounts = [
            f"type={m['Type']},dst={m['Target']}"
            + (f",src={m['Source']}" if "Source" in m else "")
            + (",ro" if m.get("ReadOnly") else "")
            for m in container["Mounts"]
        ]
        self.sh("bitcoin-1", f"mkdir -p /run/bcm; chown {container['User']} /srv/bitcoin /etc/bcm/bitcoin/*")
        flags = [f"--mount {mount}" for mount in mounts] + [f"--env {env}" for env in container["Env"]]
        flags += [
            f"--constraint {c.replace(' ', '')}" for c in self.service["TaskTemplate"]["Placement"]["Constraints"]
        ]
        self.sh(
            "manager-1",
            "docker network create -d overlay bitcoin >/dev/null; docker service create --detach --name bitcoin --network bitcoin "
            f"--endpoint-mode dnsrr --hostname bitcoin-1 --read-only --cap-drop ALL --user {container['User']} "
            f"--stop-grace-period 30m --health-cmd /opt/bitcoin/bin/bitcoin-health {' '.join(flags)} {registry}/{name}:1 >/dev/null",
        )
        answers = "docker exec $(docker ps -qf name=bitcoin) /opt/bitcoin/bin/bitcoin-cli -datadir=/data -conf=/etc/bitcoin/bitcoin.conf"
        self.until(lambda: self.sh("bitcoin-1", f"{answers} getblockcount"), 180)

    def address(self, name: str) -> str:
        config = json.loads(self.instances[name]["config"]["cloud-init.network-config"])
        return str(config["ethernets"]["cluster"]["addresses"][0]).split("/")[0]

    def at_once(self, does: Callable[[str], Any], names: Iterable[str]) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(does, names))

    def remove(self) -> None:
        """Everything of it, whatever of it is there."""
        steps = [["--project", PROJECT, "delete", "--force", name] for name in [*self.instances, "builder"]]
        volumes = ("bitcoin-1-bitcoin", "manager-1-registry")
        steps += [["--project", PROJECT, "storage", "volume", "delete", PROJECT, volume] for volume in volumes]
        steps += [["--project", PROJECT, "image", "delete", alias] for alias in ("golden", "base")]
        steps += [["network", "delete", self.named(name)] for name in self.networks]
        steps += [["project", "delete", PROJECT], ["storage", "delete", PROJECT]]
        for step in steps:
            subprocess.run(["lxc", *step], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
