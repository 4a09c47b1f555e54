# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""Sees where packets go, and keeps of each no more than its addresses.

A packet socket for each interface, with a filter in the kernel that lets only those through that matter there. What was seen is
counted in memory by destination; neither a packet nor a file is kept. So nothing has to be installed on the machine, as tcpdump
would, nothing of what people say lies on a disk, and nothing is left when the process is killed: the kernel ends promiscuous mode
with the socket that has asked for it.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import errno
import ipaddress
import json
import os
import pwd
import selectors
import socket
import struct
import time
import typing as t
from pathlib import Path

ETH_P_ALL = 3
ETH_P_IP = 0x0800
ETH_P_ARP = 0x0806
ETH_P_IPV6 = 0x86DD
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_STATISTICS = 6
PACKET_MR_PROMISC = 1
PACKET_OUTGOING = 4
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
SO_PEERCRED = 17
ROOM = 32 * 2**20
SNAP = 1024
# So many different destinations are kept. A machine that has more of them within minutes is no part of a site that hides.
MOST = 20000
MOST_OWNERS = 500

# What is wanted of an interface.
FOREIGN = "foreign"  # an inner bridge: what does not stay among its own addresses
ENTERS = "enters"  # a bridge that instances go out by: what comes from them
LEAVES = "leaves"  # an uplink, or the outer leg of an instance: what goes out
KINDS = (FOREIGN, ENTERS, LEAVES)

PROTOCOLS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 58: "icmp", 112: "vrrp", 132: "sctp"}
# Of IPv6: headers that stand before what is carried.
FURTHER_HEADERS = (0, 43, 60, 135)
FRAGMENT = 44

Instruction = tuple[int, int, int, int]
# Classic BPF, as in linux/bpf_common.h, and what the kernel knows of a packet beside its bytes.
LD_W, LD_H, LD_B = 0x20, 0x28, 0x30
LDX_MSH, LD_H_IND = 0xB1, 0x48
AND, JEQ, RET = 0x54, 0x15, 0x06
AD_OFF = 0xFFFFF000
AD_PROTOCOL = AD_OFF
AD_PKTTYPE = AD_OFF + 4


class Step(t.NamedTuple):
    """One instruction, whose jumps lead to names: C(next), C(take), C(drop)."""

    code: int
    value: int
    true: str = "next"
    false: str = "next"


def assembled(steps: t.Sequence[Step]) -> list[Instruction]:
    """The instructions of STEPS, followed by the two that take and drop."""
    take, drop = len(steps), len(steps) + 1
    places = {"take": take, "drop": drop}
    done = []
    for number, step in enumerate(steps):
        jumps = [places.get(name, number + 1) - number - 1 for name in (step.true, step.false)]
        done.append((step.code, jumps[0], jumps[1], step.value) if step.code == JEQ else (step.code, 0, 0, step.value))
    return [*done, (RET, 0, 0, SNAP), (RET, 0, 0, 0)]


def kernel_filter(kind: str, inside: str | None) -> list[Instruction]:
    """What the kernel lets through of an interface of this KIND. INSIDE is the network of an inner bridge."""
    no_arp = [Step(LD_W, AD_PROTOCOL), Step(JEQ, ETH_P_ARP, "drop")]
    if kind == ENTERS:
        # What the machine itself sends into the bridge are answers.
        return assembled([*no_arp, Step(LD_W, AD_PKTTYPE), Step(JEQ, PACKET_OUTGOING, "drop", "take")])
    if kind == LEAVES:
        answers_to_names = [
            Step(LD_W, AD_PROTOCOL),
            Step(JEQ, ETH_P_IP, "next", "drop"),
            Step(LD_B, 9),
            Step(JEQ, 17, "next", "drop"),
            Step(LDX_MSH, 0),
            Step(LD_H_IND, 0),
            Step(JEQ, 53, "take", "drop"),
        ]
        return assembled([*no_arp, Step(LD_W, AD_PKTTYPE), Step(JEQ, PACKET_OUTGOING, "take"), *answers_to_names])
    network = ipaddress.IPv4Network(inside or "0.0.0.0/32")
    mask, base = int(network.netmask), int(network.network_address)
    return assembled(
        [
            *no_arp,
            Step(JEQ, ETH_P_IP, "next", "take"),
            Step(LD_W, 12),
            Step(AND, mask),
            Step(JEQ, base, "next", "take"),
            Step(LD_W, 16),
            Step(AND, mask),
            Step(JEQ, base, "drop", "take"),
        ]
    )


class Packet(t.NamedTuple):
    """What is kept of a packet."""

    protocol: str
    source: str
    source_port: int
    destination: str
    port: int
    payload: bytes


def packet(ethertype: int, data: bytes) -> Packet | None:
    """A packet of IP as it was captured, None if it is none."""
    try:
        if ethertype == ETH_P_IP and data[0] >> 4 == 4:
            length = (data[0] & 15) * 4
            source, destination = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
            # A later part of a packet in several parts has no ports.
            later = bool(struct.unpack(">H", data[6:8])[0] & 0x1FFF)
            return _carried(data[9], source, destination, b"" if later else data[length:])
        if ethertype == ETH_P_IPV6 and data[0] >> 4 == 6:
            source, destination = (str(ipaddress.IPv6Address(data[start : start + 16])) for start in (8, 24))
            following, rest = data[6], data[40:]
            while following in FURTHER_HEADERS and len(rest) >= 8:
                following, rest = rest[0], rest[(rest[1] + 1) * 8 :]
            if following == FRAGMENT and len(rest) >= 8:
                later = bool(struct.unpack(">H", rest[2:4])[0] & 0xFFF8)
                following, rest = rest[0], b"" if later else rest[8:]
            return _carried(following, source, destination, rest)
    except (IndexError, struct.error, OSError, ValueError):
        pass
    return None


def _carried(number: int, source: str, destination: str, data: bytes) -> Packet:
    protocol = PROTOCOLS.get(number, f"protocol {number}")
    if protocol in ("tcp", "udp") and len(data) >= 8:
        ports = struct.unpack(">2H", data[:4])
        start = (data[12] >> 4) * 4 if protocol == "tcp" and len(data) > 12 else 8
        return Packet(protocol, source, ports[0], destination, ports[1], data[start:])
    # Its type takes the place of a port.
    return Packet(protocol, source, 0, destination, data[0] if protocol == "icmp" and data else 0, data[8:])


def answers_of_names(data: bytes) -> dict[str, str]:
    """Addresses in an answer of a name server, each with the name that was asked for."""
    found: dict[str, str] = {}
    try:
        questions, answers = struct.unpack(">2H", data[4:8])
        if not data[2] & 0x80 or questions != 1:
            return {}
        name, place = _name(data, 12)
        place += 4
        for _number in range(min(answers, 64)):
            _owner, place = _name(data, place)
            kind, _class, _ttl, length = struct.unpack(">HHIH", data[place : place + 10])
            value = data[place + 10 : place + 10 + length]
            place += 10 + length
            if (kind, length) in ((1, 4), (28, 16)):
                found[str(ipaddress.ip_address(value))] = name
    except (IndexError, struct.error, ValueError):
        pass
    return found


def _name(data: bytes, place: int) -> tuple[str, int]:
    """A name in a message of DNS, and where it ends."""
    labels: list[str] = []
    end = 0
    for _step in range(128):
        length = data[place]
        if length >= 0xC0:
            end = end or place + 2
            place = struct.unpack(">H", data[place : place + 2])[0] & 0x3FFF
        elif length:
            labels.append(data[place + 1 : place + 1 + length].decode("ascii", "replace").lower())
            place += 1 + length
        else:
            return ".".join(labels), end or place + 1
    raise ValueError("a name without an end")


class Sockets:
    """Sockets of this network namespace: who has which, and what listens."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self.root = root

    def rows(self, protocol: str) -> t.Iterator[tuple[str, int, str, int, int, str]]:
        """Address, port, the other side's address and port, state and inode of each socket."""
        for name in (protocol, f"{protocol}6"):
            with contextlib.suppress(OSError):
                for line in (self.root / "self/net" / name).read_text().splitlines()[1:]:
                    words = line.split()
                    yield (*endpoint(words[1]), *endpoint(words[2]), int(words[3], 16), words[9])

    def listening(self) -> list[dict[str, t.Any]]:
        """Ports that take what comes: of TCP those that listen, of UDP those that have no other side."""
        found = set()
        for protocol, state in (("tcp", 10), ("udp", 7)):
            for address, port, _other, other_port, seen, _inode in self.rows(protocol):
                if seen == state and not other_port:
                    found.add((protocol, address, port))
        return [{"protocol": protocol, "address": address, "port": port} for protocol, address, port in sorted(found)]

    def owner(self, seen: Packet) -> str | None:
        """The program whose socket a packet came from, None if no socket of this machine did."""
        if seen.protocol not in ("tcp", "udp"):
            return None
        loose = None
        for address, port, other, other_port, _state, inode in self.rows(seen.protocol):
            if port != seen.source_port:
                continue
            if (other, other_port) == (seen.destination, seen.port) and address == seen.source:
                return self.program(inode)
            if not other_port and seen.protocol == "udp" and address in (seen.source, "0.0.0.0", "::"):  # noqa: S104
                loose = inode
        return None if loose is None else self.program(loose)

    def program(self, inode: str) -> str:
        """The name of the program that has a socket, with its user."""
        wanted = f"socket:[{inode}]"
        for process in self.root.iterdir():
            if not process.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                for entry in (process / "fd").iterdir():
                    if str(entry.readlink()) == wanted:
                        user = process.stat().st_uid
                        return f"{(process / 'comm').read_text().strip()} of {user_name(user)}"
        # It may have ended, or be the kernel's own.
        return "a program that has ended since"

    def origin(self, seen: Packet) -> str | None:
        """Whose address a packet had before this machine put its own in its place, as far as the kernel tells."""
        with contextlib.suppress(OSError):
            for line in (self.root / "self/net/nf_conntrack").read_text().splitlines():
                words = line.split()
                if len(words) < 3 or words[2] != seen.protocol:
                    continue
                pairs = collections.defaultdict(list)
                for word in words:
                    key, found, value = word.partition("=")
                    if found:
                        pairs[key].append(value)
                # The first half is as it came, the second what the answer looks like.
                if len(pairs["src"]) < 2 or len(pairs["dst"]) < 2 or not _same(pairs["src"][1], seen.destination):
                    continue
                if pairs["sport"] and (len(pairs["sport"]) < 2 or pairs["sport"][1] != str(seen.port)):
                    continue
                if _same(pairs["dst"][1], seen.source) and not _same(pairs["src"][0], seen.source):
                    return pairs["src"][0]
        return None


def _same(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return False


def user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def endpoint(text: str) -> tuple[str, int]:
    """An address and port as /proc has them; one of IPv4 in the garb of IPv6 is one of IPv4."""
    address, _colon, port = text.partition(":")
    words = [struct.pack("=I", int(address[start : start + 8], 16)) for start in range(0, len(address), 8)]
    found = ipaddress.ip_address(b"".join(words))
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(found), int(port, 16)


def addresses() -> list[dict[str, str]]:
    """Addresses of all interfaces but the loopback: IPv4 by asking for each, IPv6 as the kernel lists them."""
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/net/if_inet6").read_text().splitlines():
            words = line.split()
            if words[5] != "lo":
                address = str(ipaddress.IPv6Address(bytes.fromhex(words[0])))
                found.append({"interface": words[5], "address": address})
    return sorted([*found, *_addresses_of_ipv4()], key=lambda one: (one["interface"], one["address"]))


def _addresses_of_ipv4() -> t.Iterator[dict[str, str]]:
    """By netlink: an interface can have several, and the older call tells of one."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.settimeout(5)
        # RTM_GETADDR, of all (NLM_F_REQUEST, NLM_F_DUMP), for IPv4.
        body = struct.pack("=BBBBI", socket.AF_INET, 0, 0, 0, 0)
        netlink.send(struct.pack("=IHHII", 16 + len(body), 22, 0x301, 1, 0) + body)
        while True:
            data = netlink.recv(65536)
            while len(data) >= 16:
                length, kind = struct.unpack("=IH", data[:6])
                if kind in (2, 3):  # NLMSG_ERROR, NLMSG_DONE
                    return
                yield from _address(data[16:length])
                data = data[(length + 3) & ~3 :]


def _address(message: bytes) -> t.Iterator[dict[str, str]]:
    index = struct.unpack("=I", message[4:8])[0]
    place, local = 8, b""
    while place + 4 <= len(message):
        length, kind = struct.unpack("=HH", message[place : place + 4])
        if kind == 2 or (kind == 1 and not local):  # IFA_LOCAL, or the IFA_ADDRESS of what has no other side
            local = message[place + 4 : place + length]
        place += max((length + 3) & ~3, 4)
    with contextlib.suppress(OSError):
        name = socket.if_indextoname(index)
        if name != "lo" and len(local) == 4:
            yield {"interface": name, "address": socket.inet_ntoa(local)}


def uplinks() -> list[str]:
    """Interfaces that a route to everywhere leads by."""
    found = set()
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/net/route").read_text().splitlines()[1:]:
            words = line.split()
            if not int(words[1], 16) and not int(words[7], 16):
                found.add(words[0])
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/net/ipv6_route").read_text().splitlines():
            words = line.split()
            if not int(words[0], 16) and not int(words[1], 16) and not int(words[8], 16) & 0x0200:
                found.add(words[9])
    return sorted(found - {"lo"})


class Point(t.NamedTuple):
    """An interface, and what is looked for there."""

    interface: str
    kind: str
    inside: str | None = None


def opened(point: Point) -> socket.socket:
    """The socket that hears what matters at a point. The kind of frame does not matter: the kernel takes it off."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    try:
        program = kernel_filter(point.kind, point.inside)
        code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
        buffer = _Buffer(code)
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), buffer.address))
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        except PermissionError:
            # In a container the machine's own limit holds. What does not fit is counted, and told.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        # From here on it hears, and nothing that the filter has not seen.
        sock.bind((point.interface, ETH_P_ALL))
        if point.kind != LEAVES:
            # A bridge hands on what is not for the machine only if it is asked to.
            index = socket.if_nametoindex(point.interface)
            sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("=iHH8s", index, PACKET_MR_PROMISC, 0, b""))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


class _Buffer:
    """Bytes at an address that stays as long as this lives."""

    def __init__(self, data: bytes) -> None:
        self._held = ctypes.create_string_buffer(data, len(data))
        self.address = ctypes.addressof(self._held)


class Watch:
    """What was seen so far at some points."""

    def __init__(self, points: t.Sequence[Point], token: str, sockets: Sockets | None = None) -> None:
        self.points = list(points)
        self.token = token.encode()
        self.sockets = sockets or Sockets()
        self.begun = time.monotonic()
        self.flows: dict[tuple[str, ...], dict[str, t.Any]] = {}
        self.names: dict[str, str] = {}
        self.beyond = 0
        self.asked = 0
        self.listening = {(one["protocol"], one["port"]) for one in self.sockets.listening()}
        self.own = {one["address"] for one in addresses()}
        self.heard: dict[str, socket.socket] = {}

    def open(self) -> None:
        for point in self.points:
            try:
                self.heard[point.interface] = opened(point)
            except OSError as error:
                raise OSError(error.errno, f"{point.interface}: {error.strerror or error}") from error

    def take(self, point: Point, ethertype: int, outgoing: bool, data: bytes) -> None:
        """Keep what matters of a packet."""
        seen = packet(ethertype, data)
        if seen is None:
            self._count(point, Packet(f"ethertype {ethertype:#06x}", "", 0, "", 0, b""), "")
            return
        if point.kind == LEAVES and not outgoing:
            if seen.protocol == "udp" and seen.source_port == 53 and len(self.names) < MOST:
                self.names.update(answers_of_names(seen.payload))
            return
        self._count(point, seen, self._mark(seen.payload))

    def _mark(self, payload: bytes) -> str:
        """The mark of a try that a packet carries. As part of a name its letters may have changed."""
        start = payload.lower().find(self.token) if self.token else -1
        if start < 0:
            return ""
        end = start
        while end < len(payload) and (payload[end : end + 1].isalnum() or payload[end : end + 1] == b"-"):
            end += 1
        return payload[start:end].decode().lower()

    def _count(self, point: Point, seen: Packet, mark: str) -> None:
        # What answers at a port of this machine goes to a port of no meaning.
        answers = seen.source_port if self._answers(seen) else 0
        port = 0 if answers else seen.port
        key = (point.interface, seen.protocol, seen.source, seen.destination, str(port), str(answers), mark)
        flow = self.flows.get(key)
        if flow is None:
            if len(self.flows) >= MOST:
                self.beyond += 1
                return
            owner = origin = None
            if point.kind == LEAVES and not answers and self.asked < MOST_OWNERS:
                self.asked += 1
                owner = self.sockets.owner(seen)
                origin = self.sockets.origin(seen) if owner is None else None
            flow = self.flows[key] = {
                "interface": point.interface,
                "kind": point.kind,
                "protocol": seen.protocol,
                "source": seen.source,
                "destination": seen.destination,
                "port": port,
                "answers": answers,
                "mark": mark,
                "owner": owner or "",
                "origin": origin or "",
                "packets": 0,
                "after": round(time.monotonic() - self.begun, 1),
            }
        flow["packets"] += 1

    def _answers(self, seen: Packet) -> bool:
        return seen.source in self.own and (seen.protocol, seen.source_port) in self.listening

    def drain(self, point: Point) -> None:
        """Take what has come at a point."""
        sock = self.heard[point.interface]
        for _number in range(2000):
            try:
                data, address = sock.recvfrom(SNAP)
            except BlockingIOError:
                return
            except OSError as error:
                # The interface went down, or is gone. Others are heard all the same.
                if error.errno in (errno.ENETDOWN, errno.ENODEV, errno.ENXIO):
                    return
                raise
            self.take(point, address[1], address[2] == PACKET_OUTGOING, data)

    def lost(self) -> dict[str, int]:
        """How many packets the kernel could not hand over, by interface."""
        found = {}
        for interface, sock in self.heard.items():
            _packets, drops = struct.unpack("=II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            if drops:
                found[interface] = drops
        return found

    def told(self) -> dict[str, t.Any]:
        return {
            "seconds": round(time.monotonic() - self.begun, 1),
            "flows": list(self.flows.values()),
            "names": self.names,
            "lost": self.lost(),
            "beyond": self.beyond,
            "points": [point._asdict() for point in self.points],
        }


def door(token: str) -> str:
    """Where a watch is spoken to: no file, so that nothing is left of it. Who asks is looked at."""
    return f"\0bcm-leak-watch-{token}"


def serve(watch: Watch, listener: socket.socket, seconds: float) -> None:
    """Watch until somebody collects what was seen, or the time is over."""
    selector = selectors.DefaultSelector()
    for point in watch.points:
        selector.register(watch.heard[point.interface], selectors.EVENT_READ, point)
    selector.register(listener, selectors.EVENT_READ, None)
    end = watch.begun + seconds
    waiting: socket.socket | None = None
    due = 0.0
    while (now := time.monotonic()) < end:
        if waiting and now >= due:
            answer(waiting, watch)
            return
        timeout = min(end, due if waiting else end) - now
        for key, _events in selector.select(max(timeout, 0.01)):
            if key.data is not None:
                watch.drain(key.data)
            elif (asked := accepted(listener)) is not None:
                if waiting:
                    waiting.close()
                waiting, due = asked[0], watch.begun + asked[1]


def accepted(listener: socket.socket) -> tuple[socket.socket, float] | None:
    """Who asks, and how many seconds the watch has to have lasted before it answers."""
    connection, _address = listener.accept()
    try:
        connection.settimeout(5)
        _pid, user, _group = struct.unpack("=3i", connection.getsockopt(socket.SOL_SOCKET, SO_PEERCRED, 12))
        if user not in (0, os.geteuid()):
            raise OSError(errno.EPERM, "not the one who has begun it")
        asked = json.loads(connection.makefile("rb").readline(1000))
        return connection, float(asked["at_least"])
    except (OSError, ValueError, KeyError, TypeError):
        connection.close()
        return None


def answer(connection: socket.socket, watch: Watch) -> None:
    with contextlib.suppress(OSError), connection:
        for point in watch.points:
            watch.drain(point)
        connection.settimeout(30)
        connection.sendall(json.dumps(watch.told()).encode())


def begin(watch: Watch, seconds: float) -> None:
    """Have it run by itself from here on, in a process that nobody waits for."""
    watch.open()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(door(watch.token.decode()))
    listener.listen(4)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        listener.close()
        for sock in watch.heard.values():
            sock.close()
        return
    try:
        os.setsid()
        if os.fork():
            os._exit(0)  # pylint: disable=protected-access # nothing of the parent's is to be run here
        os.chdir("/")
        keep = {listener.fileno(), *(sock.fileno() for sock in watch.heard.values())}
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        for entry in list(Path("/proc/self/fd").iterdir()):
            number = int(entry.name)
            if number > 2 and number not in keep:
                with contextlib.suppress(OSError):
                    os.close(number)
        serve(watch, listener, seconds)
    finally:
        os._exit(0)  # pylint: disable=protected-access # as above


def collect(token: str, at_least: float, patience: float) -> dict[str, t.Any]:
    """What a watch has seen. It ends with that."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience)
        sock.connect(door(token))
        sock.sendall(json.dumps({"at_least": at_least}).encode() + b"\n")
        data = b""
        while part := sock.recv(65536):
            data += part
    if not data:
        raise OSError(errno.EPIPE, "it ended before it could answer")
    found: dict[str, t.Any] = json.loads(data)
    return found
