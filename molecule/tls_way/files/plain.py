#!/usr/bin/env python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers each line with itself, and says each second that it is there, as ZMQ does with blocks."""

import asyncio


async def tick(writer: asyncio.StreamWriter) -> None:
    number = 0
    while True:
        writer.write(f"tick {number}\n".encode())
        await writer.drain()
        number += 1
        await asyncio.sleep(1)


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    ticking = asyncio.create_task(tick(writer))
    try:
        while line := await reader.readline():
            writer.write(b"echo " + line)
            await writer.drain()
    except OSError:
        pass
    finally:
        ticking.cancel()
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(talk, "127.0.0.1", 28332)
    await server.serve_forever()


asyncio.run(main())
