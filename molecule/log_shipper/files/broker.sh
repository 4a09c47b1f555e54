#!/bin/bash
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs in the instance of the broker. Formats it once, starts it, and has its topics and rights: broker.sh NAME
set -euo pipefail
broker=$1
config=/etc/kafka/server.properties
client=/root/client.properties
[ ! -e /root/ready ] || { echo "nothing to do"; exit 0; }
java() { /usr/bin/java -cp '/opt/kafka/libs/*' "$@"; }
# Some tools have moved from one package to another between releases.
tool() {
    local name=$1
    shift
    for class in "org/apache/kafka/tools/$name" "kafka/admin/$name"; do
        if grep -q "$class.class" /opt/kafka/libs/*.jar; then
            java "${class//\//.}" --bootstrap-server "$broker:9092" --command-config "$client" "$@"
            return
        fi
    done
    echo "no jar has $name" >&2
    return 1
}
{ echo security.protocol=SSL; grep '^ssl[.]\(key\|trust\)store' "$config"; } > "$client"
[ -e /srv/kafka/meta.properties ] ||
    java kafka.tools.StorageTool format --config "$config" --standalone --cluster-id "$(java kafka.tools.StorageTool random-uuid)"
systemctl daemon-reload
systemctl enable --now kafka.service
until tool TopicCommand --list > /dev/null 2>&1; do
    systemctl is-active --quiet kafka.service || { journalctl -u kafka.service -n 20 >&2; exit 1; }
done
for topic in logs.system logs.service audit; do
    tool TopicCommand --create --if-not-exists --topic "$topic" --partitions 3 --replication-factor 1
    for operation in Write Describe; do
        tool AclCommand --add --allow-principal User:log-shipper --operation "$operation" --topic "$topic"
    done
    for operation in Read Describe; do
        tool AclCommand --add --allow-principal User:log-reader --operation "$operation" --topic "$topic"
    done
done
tool AclCommand --add --allow-principal User:log-reader --operation Read --group log-reader --resource-pattern-type prefixed
touch /root/ready
