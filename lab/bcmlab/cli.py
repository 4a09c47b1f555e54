# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lab up | down | status | env | rack | tor | peers | lnd | purge"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import time
from typing import Any

from . import builder, downloads, hub, image, lnd, node, peers, rack, sitevars, state, tornet, world
from .cache import Cache
from .config import PROJECT, WORLD, Config, LabError, from_environment
from .daemon import Daemon
from .host import extra_certificates, install_packages, kernel_settings, machine_mirrors, require_root, require_space
from .lxc import Lxc, projects_beside
from .proc import locked
from .signing import Signers
from .steps import Step, run_steps


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


def up(config: Config) -> None:
    """Bring the lab up from whatever is there."""
    require_root()
    require_space(config.directory, 10)
    began = time.monotonic()
    with locked(config.directory / ".lock", "the lab"):
        claimed = state.claim(config)
        say(f"Lab in {config.directory}{f': {claimed}' if claimed else ''}")
        Up(config).run()
    say(f"The lab is up after {time.monotonic() - began:.1f} s. A site finds what it needs in {config.site_vars}")


class Up:
    """The steps of `up`, and what they hand to each other."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.cache = Cache(config.cache)
        self.mirrors = machine_mirrors()
        self.daemon = Daemon(config)
        self.lxc = Lxc(config)
        self.signers = Signers(config.directory / "signers")
        self.made: dict[str, Any] = {}

    def run(self) -> None:
        """All of them, side by side where they do not need each other."""
        world.ensure_www(self.config)
        run_steps(
            [
                Step("packages", install_packages),
                Step("kernel settings", kernel_settings),
                Step("LXD", self.daemon.up, ["packages", "kernel settings"]),
                Step("pool and bridge", lambda: world.fabric(self.lxc), ["LXD"]),
                Step("base image", self.base_image, ["packages"]),
                Step("Hub's images", self.hub_images, ["packages", "base image"]),
                Step("Hub's Java", self.hub_java, ["packages", "base image"]),
                Step("image server", lambda: image.publish(self.made["base"], self.config.www), ["base image"]),
                Step(
                    "image into LXD",
                    lambda: world.import_image(self.lxc, self.made["base"]),
                    ["base image", "pool and bridge"],
                ),
                Step("rack", rack.Rack(self.config).resume, ["pool and bridge"]),
                Step("world", lambda: world.world(self.lxc), ["image into LXD", "image server"]),
                Step("Docker Hub", self.docker_hub, ["world", "Hub's images", "Hub's Java"]),
                Step("signers", self.signers.ensure, ["packages"]),
                Step("builders", lambda: builder.clear_away(self.lxc), ["image into LXD"]),
                Step("Bitcoin's tarball", self.bitcoin, ["builders"]),
                Step("Kafka's tarball", self.kafka, ["builders"]),
                Step("downloads", self.downloads, ["Bitcoin's tarball", "Kafka's tarball", "signers"]),
                Step("lab's own node", self.node, ["Bitcoin's tarball", "world"]),
                Step("Tor network", self.tor_network, ["image into LXD"]),
                Step("site variables", self.site_vars, ["downloads", "Tor network"]),
            ],
            say,
        )

    def base_image(self) -> str:
        """The image that instances start from."""
        self.made["base"], made = image.base_image(self.cache, self.mirrors)
        return "made from the archive" if made else ""

    def hub_images(self) -> str:
        """What the Hub offers."""
        self.made["hub"], made = hub.hub_images(self.cache, self.mirrors)
        return "made from the archive" if made else ""

    def hub_java(self) -> str:
        """The Hub's image that has Java in it."""
        self.made["java"], made = hub.java_image(self.cache, self.mirrors)
        return "made from the archive" if made else ""

    def docker_hub(self) -> str:
        """The Hub with its images."""
        return hub.fill(self.config, self.made["hub"], self.made["java"])

    def bitcoin(self) -> str:
        """Bitcoin Knots as its makers pack it."""
        self.made["bitcoin"], made = builder.bitcoin(self.cache, self.lxc, self.mirrors)
        return "packed in a builder" if made else ""

    def kafka(self) -> str:
        """Kafka as its makers pack it."""
        self.made["kafka"], made = builder.kafka(self.cache, self.lxc, extra_certificates())
        return "packed in a builder" if made else ""

    def downloads(self) -> str:
        """Releases with signatures."""
        self.made["release"], did = downloads.offer(self.made["bitcoin"], self.config.www, self.signers)
        self.made["kafka release"], too = downloads.offer_kafka(self.made["kafka"], self.config.www, self.signers)
        return "; ".join(filter(None, (did, too)))

    def node(self) -> str:
        """Where the lab's coins are, and its mining."""
        return node.ensure(self.lxc, self.made["bitcoin"])

    def tor_network(self) -> str:
        """The private Tor network. Until a site asks for it, it has agreed on who is part of it."""
        with locked(self.config.directory / ".tor.lock", "the Tor network"):
            return tornet.up(self.lxc, agreed=False)

    def site_vars(self) -> str:
        """What a site has to know."""
        releases = {"bitcoin": self.made["release"], "kafka": self.made["kafka release"]}
        tor = tornet.options(self.lxc)
        found = sitevars.facts(self.config, self.mirrors, extra_certificates(), releases, tor)
        return sitevars.write(self.config, found)


def down(config: Config, grace: int) -> None:
    """Stop the instances with grace, then the daemon; keep everything."""
    require_root()
    with locked(config.directory / ".lock", "the lab"):
        if state.read(config) is None:
            say(f"There is no lab in {config.directory}")
            return
        began = time.monotonic()
        did = Daemon(config).down(grace)
        say(f"{did or 'was down already'} ({time.monotonic() - began:.1f} s)")


def status(config: Config) -> dict[str, Any]:
    """What stands, asked and not remembered."""
    record = state.read(config)
    answer: dict[str, Any] = {"directory": str(config.directory), "exists": record is not None, "up": False}
    if record is None:
        return answer
    daemon = Daemon(config)
    pid = daemon.pid()
    answers = daemon.answers()
    answer["checkout"] = record.get("checkout")
    answer["daemon"] = {"pid": pid, "ours": pid is not None, "answers": answers, "socket": str(config.socket)}
    if not answers:
        return answer
    try:
        answer |= inside(config)
    except LabError:
        # It may have gone down since it was asked first.
        if daemon.answers():
            raise
        answer["daemon"]["answers"] = False
    return answer


def inside(config: Config) -> dict[str, Any]:
    """The part of it that its LXD knows."""
    answer: dict[str, Any] = {}
    lxc = Lxc(config)
    instances = lxc.query(f"/1.0/instances?project={PROJECT}&recursion=1") or []
    answer["servers"] = rack.summary(instances)
    others = [item for item in instances if item["name"] not in answer["servers"]]
    answer["instances"] = {item["name"]: item["status"] for item in others}
    answer["sites"] = [name.removeprefix("bcm-") for name in projects_beside(lxc)]
    checks = {"images": (80, f"/images/{image.PRODUCTS}"), "docker_hub": (5000, "/v2/library/debian/tags/list")}
    answer["services"] = {name: world.answers(config.world, port, path) for name, (port, path) in checks.items()}
    answer["services"]["bitcoin_node"] = WORLD in answer["instances"] and node.height(lxc) is not None
    answer["site_vars"] = str(config.site_vars) if config.site_vars.exists() else None
    answer["up"] = answer["instances"].get(WORLD) == "Running" and all(answer["services"].values())
    return answer


def tell(answer: dict[str, Any]) -> None:
    """The same in words."""
    if not answer["exists"]:
        say(f"There is no lab in {answer['directory']}. `lab/lab up` makes one.")
        return
    daemon = answer["daemon"]
    say(f"Lab in {answer['directory']}, made from {answer['checkout']}")
    if not daemon["answers"]:
        say("LXD does not run. `lab/lab up` goes on from here.")
        return
    say(f"  LXD         runs, {'process ' + str(daemon['pid']) if daemon['ours'] else 'not started by the lab'}")
    for name, word in answer["instances"].items():
        say(f"  {name:<11} {word.lower()}")
    for name, server in answer["servers"].items():
        say(f"  {name:<11} server, {server['state']}, {server['address']}")
    for name, well in answer["services"].items():
        say(f"  {name:<11} {'answers' if well else 'does not answer'}")
    say(f"  sites       {', '.join(answer['sites']) or 'none'}")
    say("The lab is up." if answer["up"] else "The lab is not whole. `lab/lab up` goes on from here.")


def bitcoin_cli(config: Config, arguments: list[str]) -> int:
    """The lab's own node, by its own command line client."""
    try:
        say(node.cli(Lxc(config), *arguments).rstrip())
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def others(config: Config, options: argparse.Namespace, arguments: list[str]) -> int:
    """`lab/lab peers …` and `lab/lab lnd …`: nodes that belong to other people."""
    lxc = Lxc(config)
    part = {"peers": peers, "lnd": lnd}[options.command]
    if options.verb == "cli":
        words = [options.node, *arguments] if options.command == "peers" else arguments
        try:
            say(part.cli(lxc, *words).rstrip())
        except LabError as error:
            print(error, file=sys.stderr)
            return 1
        return 0
    if options.verb == "status":
        answer = part.status(lxc)
        say(json.dumps(answer, indent=2) if options.json else part.tell(answer))
        return 0 if answer["up"] else 1
    require_root()
    if options.command == "lnd" and options.verb in ("build", "up"):
        # It has a lock of its own, and takes minutes: what else is done with the lab and its Tor network goes on meanwhile.
        say(f"lnd's release: {lnd.build(lxc) or 'is there'}")
        if options.verb == "build":
            return 0
    did = getattr(part, options.verb)
    with locked(config.directory / ".tor.lock", "the Tor network"):
        say(f"{options.command}: {did(lxc) or 'nothing to do'}")
    return 0


def add_others(commands: Any) -> None:
    """Their arguments."""
    helps = {
        "peers": "two Bitcoin nodes of other people, by onion alone: up, down, status, remove, cli",
        "lnd": "lnd's release, and an lnd of somebody else, by onion alone: build, up, down, status, cli",
    }
    verbs = {
        "build": "compile lnd and put it on the download server; once for each machine, some minutes",
        "up": "have it run, with all that it needs",
        "down": "stop it; keep everything",
        "remove": "remove them with their keys and coins, lnd too",
        "cli": "ask it by its own command line client",
    }
    for command, words in helps.items():
        below = commands.add_parser(command, help=words).add_subparsers(dest="verb", required=True)
        for verb in ("build", "up", "down") if command == "lnd" else ("up", "down", "remove"):
            below.add_parser(verb, help=verbs[verb])
        below.add_parser("status", help="say what stands").add_argument(
            "--json", action="store_true", help="for programs"
        )
        client = below.add_parser("cli", help=verbs["cli"], add_help=False)
        if command == "peers":
            client.add_argument("node", choices=peers.NODES)


def env(config: Config) -> None:
    """For a shell: eval "$(lab/lab env)"."""
    for name, value in (
        ("BCM_LAB_DIR", config.directory),
        ("BCM_CACHE_DIR", config.cache),
        ("LXD_DIR", config.lxd_dir),
        ("LXD_CONF", config.directory / "lxc"),
        ("BCM_LAB_VARS", config.site_vars),
    ):
        say(f"export {name}={shlex.quote(str(value))}")


def sites_on(config: Config) -> list[str]:
    """The sites on the lab, as far as can be told: of a stopped daemon only the files of their pools are seen."""
    if Daemon(config).answers():
        return [name.removeprefix("bcm-") for name in projects_beside(Lxc(config))]
    return sorted(path.stem.removeprefix("bcm-") for path in (config.lxd_dir / "disks").glob("bcm-*.img"))


def purge(config: Config, with_cache: bool, with_sites: bool) -> None:
    """Remove the lab with all its data; with sites on it only if told so."""
    require_root()
    sites = [] if with_sites else sites_on(config)
    if sites:
        raise LabError(
            f"on this lab stand sites with data: {', '.join(sites)}. `lab/lab purge --sites` removes them too."
        )
    if state.read(config) is None:
        say(f"There is no lab in {config.directory}")
    else:
        with locked(config.directory / ".lock", "the lab"):
            daemon = Daemon(config)
            if daemon.pid() is None and daemon.answers():
                raise LabError(
                    f"a daemon that the lab did not start runs in {config.lxd_dir}. Stop it first; nothing was removed."
                )
            daemon.down(60)
            daemon.leave_namespace()
            shutil.rmtree(config.directory)
        say(f"removed {config.directory}")
    if with_cache:
        # The same folder holds what others are slow to make, too.
        for kind in (
            image.CACHE_KIND,
            hub.CACHE_KIND,
            hub.JAVA_CACHE_KIND,
            builder.CACHE_KIND,
            builder.KAFKA_CACHE_KIND,
            builder.LND_CACHE_KIND,
        ):
            shutil.rmtree(config.cache / kind, ignore_errors=True)
        say(f"removed the lab's part of {config.cache}")


def main(arguments: list[str] | None = None) -> int:
    """What lab/lab runs."""
    parser = argparse.ArgumentParser(prog="lab/lab", description="The outside world of a site, rebuilt on one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring the lab up, from whatever is there")
    stop = commands.add_parser("down", help="stop all instances, then the daemon; keep everything")
    stop.add_argument("--grace", type=int, default=600, metavar="SECONDS", help="how long to wait for instances")
    show = commands.add_parser("status", help="say what stands; exit code 0 if the lab is up")
    show.add_argument("--json", action="store_true", help="for programs")
    commands.add_parser("env", help='print variables for a shell: eval "$(lab/lab env)"')
    rack.add_arguments(commands.add_parser("rack", help="servers as they come out of the installer, reached by SSH"))
    remove = commands.add_parser("purge", help="remove the lab and all data in it")
    remove.add_argument("--sites", action="store_true", help="even if sites stand on it, with their data")
    remove.add_argument("--cache", action="store_true", help="and what is slow to make")
    commands.add_parser(
        "bitcoin-cli", help="ask the lab's own node, where its coins and its mining are", add_help=False
    )
    private = commands.add_parser("tor", help="a private Tor network: up, down, status, remove")
    private.add_argument("verb", choices=["up", "down", "status", "remove"])
    private.add_argument("--json", action="store_true", help="of status, for programs")
    add_others(commands)
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command != "bitcoin-cli" and getattr(options, "verb", None) != "cli":
        parser.error(f"unknown arguments: {' '.join(rest)}")
    try:
        config = from_environment()
        if options.command == "up":
            up(config)
        elif options.command == "down":
            down(config, options.grace)
        elif options.command == "env":
            env(config)
        elif options.command == "bitcoin-cli":
            return bitcoin_cli(config, rest)
        elif options.command == "rack":
            rack.command(config, options, say)
        elif options.command == "tor":
            with locked(config.directory / ".tor.lock", "the Tor network"):
                return tornet.command(config, options.verb, options.json)
        elif options.command in ("peers", "lnd"):
            return others(config, options, rest)
        elif options.command == "purge":
            purge(config, options.cache, options.sites)
        else:
            answer = status(config)
            say(json.dumps(answer, indent=2)) if options.json else tell(answer)
            return 0 if answer["up"] else 1
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted. `lab/lab up` goes on from here.", file=sys.stderr)
        return 130
    return 0
