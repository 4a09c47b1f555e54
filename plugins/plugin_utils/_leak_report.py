# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was tried and what was seen, held against what the declaration expects, with the cause of each difference in words."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _leaks

Vars = Mapping[str, Any]
Flow = Mapping[str, Any]

# Verdicts on a destination: of those that must be, of those that are named and left alone, and those that must not be.
KNOWN, NAMED, WRONG = "known", "named", "wrong"


class Judge:
    """Knows which destinations are whose."""

    def __init__(
        self,
        hostvars: Mapping[str, Vars],
        endpoints: Sequence[str],
        proxyhosts: Sequence[str],
        allowed: Sequence[Mapping[str, Any]],
        unknown_fails: bool,
    ) -> None:
        self.any = hostvars[[*proxyhosts, *endpoints][0]]
        self.unknown_fails = unknown_fails
        self.allowed = [(ipaddress.ip_network(str(one["to"])), int(one.get("port", 0)), one["why"]) for one in allowed]
        self.explained: dict[tuple[str, str, int], str] = {}
        self.sources: dict[str, str] = {}
        for host in proxyhosts:
            for one in (hostvars[host].get("leak_proof_explained") or {}).get("explained") or []:
                self.explained[one["protocol"], one["address"], int(one["port"])] = str(one["by"])
            for address in (hostvars[host].get("bcm_addresses") or {}).values():
                self.sources[str(address)] = host
        self.endpoints = {
            str(hostvars[host][word]): host
            for host in endpoints
            for word in ("bcm_cluster_address", "bcm_tunnel_address")
            if hostvars[host].get(word)
        }
        self.names_of_instances = {
            str(address): host
            for host, variables in hostvars.items()
            if "bcm_tier" in variables
            for address in (variables.get("bcm_addresses") or {}).values()
        }
        self.own_addresses = {
            host: {one["address"] for one in (hostvars[host].get("leak_proof_watch") or {}).get("addresses") or []}
            for host in endpoints
        }
        self.site = [ipaddress.ip_network(str(one["subnet"])) for one in _leaks.networks(self.any)]

    def judge(self, host: str, flow: Flow, answers: Sequence[int] = ()) -> tuple[str, str]:
        """Verdict and reason of where packets went."""
        destination = str(flow["destination"])
        if not destination:
            return NAMED, "a frame without an address of IP, which no router hands on"
        address = ipaddress.ip_address(destination)
        kind = flow["kind"]
        if kind != "foreign" and flow.get("mark"):
            return WRONG, f"a try of {self.who(str(flow['source']))} has come this far"
        if address.is_multicast or address.is_link_local or destination == "255.255.255.255":
            return NAMED, "it stays in its own network"
        if kind == "foreign":
            return self._foreign(flow)
        if kind == "enters":
            return self._out(flow) if str(flow["source"]) in self.sources else self._stranger(flow)
        return self._leaves(host, flow, answers)

    def who(self, source: str) -> str:
        return f"{self.names_of_instances[source]} ({source})" if source in self.names_of_instances else source

    def _of_the_site(self, address: str) -> bool:
        found = ipaddress.ip_address(address)
        return any(found.version == network.version and found in network for network in self.site)

    def _foreign(self, flow: Flow) -> tuple[str, str]:
        source = str(flow["source"])
        if self._of_the_site(source):
            return WRONG, f"{self.who(source)} sends there on an inner network: it has a route that leads out"
        if source in ("0.0.0.0", "::"):  # noqa: S104
            return NAMED, "somebody without an address asks for one"
        return WRONG, f"{source}, which is no address of this network, sends there on it"

    def _stranger(self, flow: Flow) -> tuple[str, str]:
        return WRONG, f"{self.who(str(flow['source']))} sends there by the way out, and is no proxyhost"

    def _out(self, flow: Flow) -> tuple[str, str]:
        """What a proxyhost sends to the world."""
        protocol, destination, port = str(flow["protocol"]), str(flow["destination"]), int(flow["port"])
        if by := self._by(protocol, destination, port):
            return KNOWN, by
        if flow.get("answers"):
            return WRONG, f"it answers there from its port {flow['answers']}, and nothing may answer outside"
        if protocol == "icmp" and port in (1, 3):
            return NAMED, "it says that something cannot be reached"
        owner = f"{flow['owner']} has sent it" if flow.get("owner") else "nobody knows which program has sent it"
        return (
            WRONG,
            f"it is neither a relay of Tor nor anything that Squid has let through or the declaration names; {owner}",
        )

    def _by(self, protocol: str, destination: str, port: int) -> str:
        """Who may go there, empty if nobody."""
        if protocol in ("tcp", "udp") and port == 53 and destination == _leaks.resolver(self.any):
            return "the declared name server"
        for one in self.any.get("bcm_egress_allowed_private") or []:
            if protocol == "tcp" and (destination, port) == (str(one["host"]), int(one["port"])):
                return "a declared mirror"
        address = ipaddress.ip_address(destination)
        for network, allowed_port, why in self.allowed:
            if address.version == network.version and address in network and allowed_port in (0, port):
                return f"allowed: {why}"
        return self.explained.get((protocol, destination, port), "")

    def _leaves(self, host: str, flow: Flow, answers: Sequence[int]) -> tuple[str, str]:
        """What goes out by an uplink of an endpoint, or by the outer leg of an instance."""
        source = str(flow["source"])
        if host not in self.own_addresses:
            if answers and int(flow.get("answers") or 0) in answers:
                return KNOWN, f"it answers at its port {flow['answers']}, as declared"
            if answers:
                return WRONG, f"{host} begins something in the LAN; it may only answer there"
            return self._out(flow)
        if flow.get("owner"):
            return NAMED, f"the endpoint's own: {flow['owner']}"
        if flow.get("answers"):
            return NAMED, f"the endpoint answers at its port {flow['answers']}"
        if str(flow["destination"]) in self.endpoints:
            return NAMED, f"between endpoints, to {self.endpoints[str(flow['destination'])]}"
        origin = str(flow.get("origin") or ("" if source in self.own_addresses[host] else source))
        if origin in self.sources:
            verdict, why = self._out(flow)
            return verdict, f"{self.sources[origin]}: {why}"
        if origin and self._of_the_site(origin):
            return WRONG, f"{self.who(origin)} is behind it, and is no proxyhost"
        if by := self._by(str(flow["protocol"]), str(flow["destination"]), int(flow["port"])):
            return KNOWN, by
        if origin:
            return NAMED, f"of {origin}, which is not of this site"
        words = "nobody knows who has sent it: no program of the endpoint has its socket any more, and the kernel tells of nobody behind it"
        return (WRONG if self.unknown_fails else NAMED), words


def destinations(hostvars: Mapping[str, Vars], watchers: Sequence[str]) -> list[dict[str, Any]]:
    """Where packets went out to, each once: what is to be explained."""
    found: dict[tuple[str, str, int], None] = {}
    for host in watchers:
        for flow in _seen(hostvars[host]).get("flows") or []:
            outside = flow["kind"] != "foreign" and flow["destination"] and not flow.get("answers")
            if outside and flow["protocol"] in ("tcp", "udp"):
                found[flow["protocol"], flow["destination"], int(flow["port"])] = None
    return [{"protocol": protocol, "address": address, "port": port} for protocol, address, port in sorted(found)]


def _seen(variables: Vars) -> Vars:
    found: Vars = (variables.get("leak_proof_collected") or {}).get("seen") or {}
    return found


def names_of(hostvars: Mapping[str, Vars], watchers: Sequence[str]) -> dict[str, str]:
    """Names that addresses were given for while it was watched."""
    found: dict[str, str] = {}
    for host in watchers:
        found.update(_seen(hostvars[host]).get("names") or {})
    return found


def packets(hostvars: Mapping[str, Vars], watchers: Sequence[str], judge: Judge) -> list[dict[str, Any]]:
    """Every destination that was seen, with the verdict on it."""
    done: dict[tuple[str, ...], dict[str, Any]] = {}
    for host in watchers:
        leg = hostvars[host].get("bcm_lan_leg") or {}
        answers = (
            [int(port) for port in leg.get("ports") or []] if hostvars[host].get("bcm_tier") != "proxyhost" else []
        )
        for flow in _seen(hostvars[host]).get("flows") or []:
            verdict, why = judge.judge(host, flow, answers)
            key = (host, flow["interface"], flow["protocol"], flow["destination"], str(flow["port"]), verdict, why)
            row = done.setdefault(
                key,
                {
                    "watched": host,
                    "interface": flow["interface"],
                    "protocol": flow["protocol"],
                    "source": flow["source"],
                    "destination": flow["destination"],
                    "port": flow["port"],
                    "mark": flow.get("mark", ""),
                    "kind": flow["kind"],
                    "packets": 0,
                    "verdict": verdict,
                    "why": why,
                },
            )
            row["packets"] += flow["packets"]
    return list(done.values())


def watch_findings(hostvars: Mapping[str, Vars], watchers: Sequence[str]) -> Iterator[str]:
    """What keeps the watch from proving anything."""
    for host in watchers:
        begun, seen = hostvars[host].get("leak_proof_watch") or {}, _seen(hostvars[host])
        if not seen:
            said = (
                (hostvars[host].get("leak_proof_collected") or {}).get("msg")
                or begun.get("msg")
                or "no reason was given"
            )
            yield f"{host}: its packets were not watched: {said}"
            continue
        for interface, count in sorted((seen.get("lost") or {}).items()):
            yield (
                f"{host}: {count} packets on {interface} came faster than they could be looked at, so nothing is known of them; "
                "look again when there is less to do"
            )
        if seen.get("beyond"):
            yield f"{host}: there were more destinations than can be told apart; {seen['beyond']} packets were not looked at"


def explained_findings(hostvars: Mapping[str, Vars], proxyhosts: Sequence[str]) -> Iterator[str]:
    for host in proxyhosts:
        found = hostvars[host].get("leak_proof_explained") or {}
        if "explained" not in found:
            yield f"{host}: it does not say what its packets were for: {found.get('msg') or 'it was not asked'}"
            continue
        for trouble in found.get("troubles") or []:
            yield f"{host}: {trouble}"


def bridge_findings(hostvars: Mapping[str, Vars], endpoints: Sequence[str]) -> Iterator[str]:
    """Legs of endpoints on bridges that must have none."""
    for host in endpoints:
        inner = _leaks.inner_bridges(hostvars[host])
        for one in (hostvars[host].get("leak_proof_watch") or {}).get("addresses") or []:
            if one["interface"] in inner:
                yield (
                    f"{host}: it has the address {one['address']} on {one['interface']}, an inner bridge, where it must have none: "
                    f"whoever is on that bridge has a neighbour that knows a way out (ip address del on {host}, or fabric.yml)"
                )


def table(
    hosts: Sequence[str],
    hostvars: Mapping[str, Vars],
    plan: Mapping[str, Sequence[Mapping[str, Any]]],
    marks: Mapping[str, str],
) -> tuple[list[dict[str, Any]], list[str]]:
    """Every cell, and what could not be asked at all."""
    rows: list[dict[str, Any]] = []
    failures = []
    for host in hosts:
        result = hostvars[host].get("leak_proof_tried") or {}
        cells = plan[host]
        if "askers" not in result:
            failures.append(f"{host}: nothing could be tried from it: {result.get('msg') or 'it was not asked'}")
            continue
        for number, asker in enumerate(result["askers"]):
            words = f"{asker['task']} on {host}" if asker["task"] else host
            if asker.get("failed"):
                failures.append(f"{words}: nothing could be tried from it: {asker['failed']}")
                continue
            answers = iter(asker["results"])
            for cell in cells:
                wanted = cell["expected_of_tasks"] if asker["task"] else cell["expected"]
                got = next(answers) if _leaks.tried(cell) else {"seen": "not tried", "said": ""}
                where = marks.get(f"{cell['mark']}-{number:x}", "") if cell.get("mark") else ""
                rows.append(_row(host, words, asker, cell, wanted, got, where))
    return rows, failures


def _row(
    host: str,
    words: str,
    asker: Vars,
    cell: Mapping[str, Any],
    wanted: str,
    got: Mapping[str, str],
    where: str,
) -> dict[str, Any]:
    seen, said = str(got["seen"]), str(got["said"])
    works = wanted == _leaks.MAY or seen in (wanted, "own")
    if where and wanted == _leaks.NO:
        works = False
        seen = seen if seen == "yes" else "packets"
    return {
        "asker": words,
        "host": host,
        "task": asker["task"],
        "row": cell["row"],
        "target": cell["name"],
        "kind": cell["kind"],
        "expected": wanted,
        "seen": seen,
        "said": said,
        "works": works,
        "cause": "" if works else _cause(words, asker, cell, wanted, seen, said, where),
    }


def _cause(words: str, asker: Vars, cell: Mapping[str, Any], wanted: str, seen: str, said: str, where: str) -> str:
    """Why a cell differs, as far as it can be told."""
    if seen == "untried":
        return f"this could not be tried: {said}"
    if wanted == _leaks.YES:
        return f"it is not reached: {said}"
    known_again = f"; its packets were seen on {where}" if where else ""
    row = str(cell["row"])
    if row in ("through the proxy", "declared, through the proxy"):
        if cell["kind"] in ("connect", "get") and seen == "packets":
            return f"the proxy refuses it, but has asked a name server for the name first, and the name itself can carry what somebody says{known_again}"
        return f"{said}: Squid's rules let it out{known_again}"
    if row == "Tor":
        return f"{said}: the firewall of the proxyhost and tor's SocksPolicy both let this tier in"
    if row == "through Tor":
        return f"{said}: tor leads to private addresses (ClientRejectInternalAddresses)"
    if row == "proxy that nobody declared":
        return (
            f"{said}: somebody has a proxy at {cell['host']}, port {cell['port']}, and the firewall lets it be reached"
        )
    if row == "names":
        return f"{said or 'its question went out'}: {_servers(asker)}{known_again}"
    if row in ("endpoint", "endpoint's name server", "endpoint in the world"):
        leg = str(cell.get("interface") or "")
        return f"{said}: {cell.get('endpoint')} has this address{f' on {leg}' if leg not in ('', 'declared') else ''}, {_ways(asker)}{known_again}"
    return f"{said}: {_ways(asker)}{known_again}"


def _ways(asker: Vars) -> str:
    routes = [f"{one['to']} by {one['interface']} through {one['via']}" for one in asker.get("routes") or []]
    return (
        f"and the way there is {', or '.join(routes)}"
        if routes
        else "with no route but those of its own networks, so it is a neighbour on one of them"
    )


def _servers(asker: Vars) -> str:
    servers = ", ".join(asker.get("resolvers") or [])
    return (
        f"its name servers are {servers}; a host inside must have none that knows the world"
        if servers
        else "it has no name server of its own"
    )


def report(
    hosts: Sequence[str],
    hostvars: Mapping[str, Vars],
    endpoints: Sequence[str],
    plan: Mapping[str, Sequence[Mapping[str, Any]]],
    site: str,
    allowed: Sequence[Mapping[str, Any]] = (),
    unknown_fails: bool = True,
) -> dict[str, Any]:
    """The whole report."""
    proxyhosts = [host for host in hosts if hostvars[host]["bcm_tier"] == "proxyhost"]
    watchers = [host for host in [*endpoints, *hosts] if _leaks.watched(host, hostvars[host])]
    judge = Judge(hostvars, endpoints, proxyhosts, allowed, unknown_fails)
    seen = packets(hostvars, watchers, judge)
    marks: dict[str, str] = {}
    for one in seen:
        if one["mark"]:
            marks[one["mark"]] = f"{one['interface']} of {one['watched']}"
    rows, failures = table(hosts, hostvars, plan, marks)
    broken = [f"{row['asker']}: {row['target']}: {row['cause']}" for row in rows if not row["works"]]
    broken += failures
    broken += bridge_findings(hostvars, endpoints)
    broken += watch_findings(hostvars, watchers)
    broken += explained_findings(hostvars, proxyhosts)
    # A try that came through is a cell already.
    for one in seen:
        if one["verdict"] == WRONG and not one["mark"]:
            broken.append(f"{one['watched']}: {one['interface']}: {_place(one)}: {one['why']}")
    return {
        "site": site,
        "works": not broken,
        "broken": broken,
        "table": rows,
        "packets": seen,
        "watched": {host: _seen(hostvars[host]).get("seconds", 0) for host in watchers},
        "notes": notes(hostvars, endpoints),
    }


def notes(hostvars: Mapping[str, Vars], endpoints: Sequence[str]) -> list[str]:
    """What the table does not show by itself."""
    names = ("TCP 443", "DNS", "DNS over TLS", "ICMP")
    for host in endpoints:
        askers = (hostvars[host].get("leak_proof_control") or {}).get("askers") or []
        if askers:
            silent = [
                name for name, got in zip(names, askers[0].get("results") or [], strict=False) if got["seen"] != "yes"
            ]
            if silent:
                return [
                    f"What stands for the world does not answer {host} either by {', '.join(silent)}: there no more than packets would show a leak"
                ]
    return []


def _place(one: Mapping[str, Any]) -> str:
    if one["protocol"] in ("tcp", "udp"):
        return f"{one['protocol'].upper()} to {one['destination']}, port {one['port']}"
    kind = f" (type {one['port']})" if one["protocol"] == "icmp" else ""
    return f"{one['protocol']}{kind} to {one['destination']}"


def words(found: Mapping[str, Any]) -> str:
    """The report as text: of each thing that was tried who was to reach it, and who did."""
    lines = [f"Who reaches what in site {found['site']}", "  expected  seen"]
    groups: dict[str, dict[tuple[str, str, bool], list[str]]] = {}
    for row in found["table"]:
        cell = (row["expected"], row["seen"], row["works"])
        groups.setdefault(row["target"], {}).setdefault(cell, []).append(row["asker"])
    for name, cells in groups.items():
        lines.append(f"{name}")
        for (wanted, seen, works), askers in sorted(cells.items(), key=lambda item: (item[0][2], item[0])):
            lines.append(f"  {wanted:<9} {seen:<10} {', '.join(askers)}{'' if works else '   <- DIFFERS'}")
    lines.append("")
    lines.append("Where packets went")
    kinds: dict[tuple[str, str, str, str], int] = {}
    for one in found["packets"]:
        key = (one["watched"], one["interface"], one["verdict"], one["why"])
        kinds[key] = kinds.get(key, 0) + 1
    for (host, interface, verdict, why), count in sorted(kinds.items()):
        mark = "   <- WRONG" if verdict == WRONG else ""
        lines.append(f"  {host}, {interface}: {count} {'place' if count == 1 else 'places'}: {why}{mark}")
    if not found["packets"]:
        lines.append("  nowhere")
    lasted = ", ".join(f"{host} {seconds:.0f} s" for host, seconds in found["watched"].items())
    lines.append(f"  watched: {lasted or 'nothing'}")
    lines.extend(f"  {one}" for one in found.get("notes") or [])
    lines.append("")
    if found["works"]:
        lines.append(
            f"All {len(found['table'])} cells are as the declaration has it, and every packet is accounted for."
        )
    else:
        lines.append(
            f"{len(found['broken'])} {'thing is' if len(found['broken']) == 1 else 'things are'} not as the declaration has it:"
        )
        lines.extend(f"  - {one}" for one in found["broken"])
    return "\n".join(lines)
