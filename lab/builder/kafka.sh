#!/bin/bash
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs in the builder. Packs Kafka as its makers do: kafka_2.13-VERSION/libs in one tarball, of the jars that they publish
# one by one. Their scripts are missing, and nobody needs them: what starts from the jars starts from their tarball too.
set -euo pipefail
out=$1
version=$2
export DEBIAN_FRONTEND=noninteractive
# Java's own store of authorities is made of the system's when it is installed.
update-ca-certificates > /dev/null
apt-get -q update
apt-get -q install -y --no-install-recommends maven
root=/tmp/build/kafka_2.13-$version
rm -rf /tmp/build
mkdir -p "$root/libs"
dependency() { printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n' "$@"; }
{
    echo '<project><modelVersion>4.0.0</modelVersion>'
    echo '<groupId>lab</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
    for part in kafka_2.13 kafka-tools connect-runtime connect-file; do
        dependency org.apache.kafka "$part" "$version"
    done
    # What they write their log by comes along in their tarball, and no jar of theirs asks for it.
    for part in log4j-core log4j-slf4j-impl log4j-1.2-api; do
        dependency org.apache.logging.log4j "$part" 2.25.3
    done
    echo '</dependencies></project>'
} > /tmp/build/pom.xml
mvn --batch-mode --quiet --file /tmp/build/pom.xml dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$root/libs"
for class in kafka/Kafka kafka/tools/StorageTool org/apache/kafka/tools/MetadataQuorumCommand; do
    grep -q "$class.class" "$root"/libs/*.jar || { echo "no jar has $class" >&2; exit 1; }
done
mkdir -p "$out"
tar -C /tmp/build --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -cf - "kafka_2.13-$version" |
    gzip -n -3 > "$out/kafka_2.13-$version.tgz"
printf '%s\n' "$version" > "$out/version"
