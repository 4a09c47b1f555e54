#!/bin/bash
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs in the builder. Packs lnd as its makers do: lnd-linux-ARCH-vVERSION/lnd and /lncli in one tarball, compiled from the
# source that they publish as a Go module, with the versions of everything below it that their go.sum names by hash.
# Of what they build in, stores that need a server of their own (etcd, PostgreSQL) are left away: they cost a minute.
set -euo pipefail
out=$1
version=$2
# On the disk: /tmp is memory, and this takes three gigabytes.
export DEBIAN_FRONTEND=noninteractive GOPATH=/var/tmp/go GOCACHE=/var/tmp/go-cache GOTMPDIR=/var/tmp GOFLAGS=-modcacherw CGO_ENABLED=0
update-ca-certificates > /dev/null
apt-get -q update
apt-get -q install -y --no-install-recommends golang-go
system=linux-$(go env GOARCH)
root=/var/tmp/build/lnd-$system-v$version
rm -rf /var/tmp/build
mkdir -p "$root"
source=$(go mod download -json "github.com/lightningnetwork/lnd@v$version" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
# Of a module that is a dependency Go leaves its replacements out of account: it has to be where the build is done.
cp -r "$source" /var/tmp/build/source
cd /var/tmp/build/source
tags="autopilotrpc signrpc walletrpc chainrpc invoicesrpc watchtowerrpc neutrinorpc monitoring peersrpc kvdb_sqlite"
# Go fetches the version of itself that go.mod asks for. Others use the machine meanwhile.
nice -n 10 go build -buildvcs=false -trimpath -tags "$tags" -o "$root/" \
    -ldflags "-s -w -buildid= -X github.com/lightningnetwork/lnd/build.Commit=v$version" ./cmd/lnd ./cmd/lncli
said=$("$root/lnd" --version)
case $said in
    *" ${version%%-*}-"*) ;;
    *) echo "it calls itself: $said" >&2; exit 1 ;;
esac
mkdir -p "$out"
tar -C /var/tmp/build --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime=@1700000000 -cf - "${root##*/}" |
    gzip -n -3 > "$out/${root##*/}.tar.gz"
(cd /var/tmp/build && sha256sum "${root##*/}"/*) > "$out/binaries"
printf '%s\n' "$version" > "$out/version"
