# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""Which RPC methods of bitcoind only read, which change something, and which take or give what nobody may see.

By the file of bitcoind's source that has them, as of Bitcoin Core 28 to 31 and Bitcoin Knots 29. A method that answers from memory or disk reads,
even if it takes hours; one that makes the node, its wallet, its files or its peers another changes, even if it mostly does not. An address that
is handed out, coins that are locked for a draft and a block that is asked for of a peer are changes.

Beside a name may stand since when it is there and until when it was (`name:29-`, `name:-29`), for messages only: bitcoind itself knows what it has.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

READ = {
    "src/rpc/blockchain.cpp": """
        getbestblockhash getblock getblockchaininfo getblockcount getblockfilter getblockhash getblockheader getblockstats getchainstates
        getchaintips getchaintxstats getdeploymentinfo getdescriptoractivity:29- getdifficulty gettxout gettxoutsetinfo scanblocks scantxoutset
        syncwithvalidationinterfacequeue verifychain waitforblock waitforblockheight waitfornewblock
    """,
    "src/rpc/fees.cpp": "estimaterawfee estimatesmartfee",
    "src/rpc/mempool.cpp": """
        getmempoolancestors getmempoolcluster:31- getmempooldescendants getmempoolentry getmempoolfeeratediagram:31- getmempoolinfo getorphantxs:29-
        getprivatebroadcastinfo:31- getrawmempool gettxspendingprevout testmempoolaccept
    """,
    "src/rpc/mining.cpp": "getblocktemplate getmininginfo getnetworkhashps getprioritisedtransactions",
    "src/rpc/net.cpp": """
        getaddednodeinfo getaddrmaninfo getconnectioncount getnettotals getnetworkinfo getnodeaddresses getpeerinfo getrawaddrman listbanned
    """,
    "src/rpc/node.cpp": "echo echoipc echojson getindexinfo getmemoryinfo",
    "src/rpc/output_script.cpp": "createmultisig deriveaddresses getdescriptorinfo validateaddress",
    "src/rpc/rawtransaction.cpp": """
        analyzepsbt combinepsbt combinerawtransaction converttopsbt createpsbt createrawtransaction decodepsbt decoderawtransaction decodescript
        descriptorprocesspsbt finalizepsbt getrawtransaction joinpsbts signrawtransactionwithkey utxoupdatepsbt
    """,
    "src/rpc/server.cpp": "getrpcinfo help uptime",
    "src/rpc/signmessage.cpp": "signmessagewithprivkey verifymessage",
    "src/rpc/txoutproof.cpp": "gettxoutproof verifytxoutproof",
    "src/rpc/external_signer.cpp": "enumeratesigners",
    "src/zmq/zmqrpc.cpp": "getzmqnotifications",
    "src/wallet/rpc": """
        dumpprivkey:-29 getaddressesbylabel getaddressinfo getbalance getbalances gethdkeys getreceivedbyaddress getreceivedbylabel gettransaction
        getunconfirmedbalance:-29 getwalletinfo listaddressgroupings listdescriptors listlabels listlockunspent listreceivedbyaddress
        listreceivedbylabel listsinceblock listtransactions listunspent listwalletdir listwallets signmessage signrawtransactionwithwallet
        simulaterawtransaction walletdisplayaddress walletprocesspsbt
    """,
    # What Bitcoin Knots has beside them, as its 29.4 lists it.
    "Bitcoin Knots": """
        dumpmasterprivkey getblockfileinfo getblocklocations getgeneralinfo getmempoolstats getrpcwhitelist listmempooltransactions listprunelocks
        scriptthreadsinfo
    """,
}
WRITE = {
    "src/rpc/blockchain.cpp": """
        dumptxoutset getblockfrompeer invalidateblock loadtxoutset preciousblock pruneblockchain reconsiderblock
    """,
    "src/rpc/mempool.cpp": "abortprivatebroadcast:31- importmempool savemempool sendrawtransaction submitpackage",
    "src/rpc/mining.cpp": """
        generate generateblock generatetoaddress generatetodescriptor prioritisetransaction submitblock submitheader
    """,
    "src/rpc/net.cpp": """
        addconnection addnode addpeeraddress clearbanned disconnectnode exportasmap:31- ping sendmsgtopeer setban setnetworkactive
    """,
    "src/rpc/node.cpp": "logging mockscheduler setmocktime",
    "src/rpc/server.cpp": "stop",
    "src/wallet/rpc": """
        abandontransaction abortrescan addhdkey:31- addmultisigaddress:-29 backupwallet bumpfee createwallet createwalletdescriptor dumpwallet:-29
        encryptwallet fundrawtransaction getnewaddress getrawchangeaddress importaddress:-29 importdescriptors importmulti:-29 importprivkey:-29
        importprunedfunds importpubkey:-29 importwallet:-29 keypoolrefill loadwallet lockunspent migratewallet newkeypool:-29 psbtbumpfee
        removeprunedfunds rescanblockchain restorewallet send sendall sendmany sendtoaddress sethdseed:-29 setlabel settxfee:-30 setwalletflag
        unloadwallet upgradewallet:-29 walletcreatefundedpsbt walletlock walletpassphrase walletpassphrasechange
    """,
    "Bitcoin Knots": "maxmempool savefeeestimates setfeerate setprunelock setscriptthreadsenabled sweepprivkeys",
}

# Parameters that hold keys or passphrases, by name and place. Nobody is to see them.
SECRET_PARAMETERS: dict[str, dict[str, int]] = {
    "addhdkey": {"hdkey": 0},
    "createwallet": {"passphrase": 3},
    "descriptorprocesspsbt": {"descriptors": 1},
    "encryptwallet": {"passphrase": 0},
    "importdescriptors": {"requests": 0},
    "importmulti": {"requests": 0},
    "importprivkey": {"privkey": 0},
    "migratewallet": {"passphrase": 1},
    "sethdseed": {"seed": 1},
    "signmessagewithprivkey": {"privkey": 0},
    "signrawtransactionwithkey": {"privkeys": 1},
    "sweepprivkeys": {"privkeys": 0, "options": 0},
    "walletpassphrase": {"passphrase": 0},
    "walletpassphrasechange": {"oldpassphrase": 0, "newpassphrase": 1},
}
# Methods whose answers hold keys: always, or where a parameter of this name and place is true.
SECRET_ANSWERS: dict[str, tuple[str, int] | None] = {
    "dumpmasterprivkey": None,
    "dumpprivkey": None,
    "gethdkeys": ("private", 0),
    "listdescriptors": ("private", 0),
}


@dataclass(frozen=True)
class Method:
    """What is known of a method."""

    name: str
    changes: bool
    source: str
    since: int | None = None
    until: int | None = None

    def span(self) -> str:
        """In which releases it is, in words; empty where it is in all."""
        words = [f"from {self.since}.0 on"] if self.since else []
        words += [f"up to {self.until}"] if self.until else []
        return " and ".join(words)


def _methods() -> dict[str, Method]:
    found = {}
    for table, changes in ((READ, False), (WRITE, True)):
        for source, names in table.items():
            for entry in names.split():
                name, _colon, span = entry.partition(":")
                since, _dash, until = span.partition("-")
                found[name] = Method(
                    name, changes, source, int(since) if since else None, int(until) if until else None
                )
    return found


METHODS = _methods()


def secret_parameters(method: str, params: list[t.Any] | dict[str, t.Any]) -> list[str]:
    """Names of parameters that are given in the open and must not be."""
    names = SECRET_PARAMETERS.get(method, {})
    if isinstance(params, dict):
        # Positional ones may stand beside named ones as `args`.
        placed = params.get("args") or []
        there = {name for name in names if params.get(name) not in (None, "", [], {})}
    else:
        placed, there = params, set()
    for name, place in names.items():
        if isinstance(placed, list) and len(placed) > place and placed[place] not in (None, "", [], {}):
            there.add(name)
    return sorted(there)


def answers_secret(method: str, params: list[t.Any] | dict[str, t.Any]) -> bool:
    """Whether what comes back holds keys."""
    if method not in SECRET_ANSWERS:
        return False
    needed = SECRET_ANSWERS[method]
    if needed is None:
        return True
    name, place = needed
    if isinstance(params, list):
        value = params[place] if len(params) > place else None
        if isinstance(value, dict):
            value = value.get(name)
    else:
        value = params.get(name)
        for option in (params.get("options"), *(params.get("args") or [])):
            if value is None:
                value = option.get(name) if isinstance(option, dict) else option
    # What cannot be told from no is yes.
    return value not in (None, False, "false", "0", 0)
