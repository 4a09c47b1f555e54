#!/usr/bin/env python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A SOCKS5 proxy that leads nowhere. Each line of /run/nowhere is one who asked: the user, how the place was told, and the place."""

import asyncio
import json
from pathlib import Path

KINDS = {1: "ipv4", 3: "name", 4: "ipv6"}


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        _version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        user = ""
        if 2 in methods:
            writer.write(b"\x05\x02")
            _version, length = await reader.readexactly(2)
            user = (await reader.readexactly(length)).decode()
            await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(b"\x01\x00")
        else:
            writer.write(b"\x05\x00")
        _version, _command, _zero, kind = await reader.readexactly(4)
        length = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        place = await reader.readexactly(length)
        port = int.from_bytes(await reader.readexactly(2), "big")
        said = {"user": user, "kind": KINDS[kind], "place": place.decode() if kind == 3 else place.hex(), "port": port}
        with Path("/run/nowhere").open("a") as file:
            file.write(json.dumps(said) + "\n")
        # Nobody can be reached.
        writer.write(b"\x05\x04\x00\x01" + bytes(6))
        await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main() -> None:
    # On this machine alone, and for its containers.
    server = await asyncio.start_server(ask, "0.0.0.0", 9050)  # noqa: S104
    await server.serve_forever()


asyncio.run(main())
