#!/bin/bash
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs in the instance of the broker, when that is there. Has the topics of alerts, and says who may do what: topics.sh NAME
set -euo pipefail
broker=$1
[ ! -e /root/ready-for-alerts ] || { echo "nothing to do"; exit 0; }
# Some tools have moved from one package to another between releases.
tool() {
    local name=$1
    shift
    for class in "org/apache/kafka/tools/$name" "kafka/admin/$name"; do
        if grep -q "$class.class" /opt/kafka/libs/*.jar; then
            /usr/bin/java -cp '/opt/kafka/libs/*' "${class//\//.}" \
                --bootstrap-server "$broker:9092" --command-config /root/client.properties "$@"
            return
        fi
    done
    echo "no jar has $name" >&2
    return 1
}
tool TopicCommand --create --if-not-exists --topic alerts --partitions 1 --replication-factor 1
tool TopicCommand --create --if-not-exists --topic alerts.state --partitions 1 --replication-factor 1 --config cleanup.policy=compact
who=(--add --allow-principal User:log-alerts)
for topic in logs.system logs.service audit alerts alerts.state; do
    tool AclCommand "${who[@]}" --operation Read --operation Describe --topic "$topic"
done
for topic in alerts alerts.state; do
    tool AclCommand "${who[@]}" --operation Write --topic "$topic"
done
tool AclCommand "${who[@]}" --operation Read --group log-alerts
tool AclCommand "${who[@]}" --operation Read --group log-alerts. --resource-pattern-type prefixed
tool AclCommand "${who[@]}" --operation Write --operation Describe --transactional-id log-alerts
touch /root/ready-for-alerts
