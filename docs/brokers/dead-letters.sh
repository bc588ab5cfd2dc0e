#!/bin/bash
# Shows what comes out of a queue, and takes it out: dead-letters.sh PASSCODE-FILE QUEUE [HOST [PORT]]
# The passcode is in no process's arguments: printf is the shell's own. Not encrypted, so on the broker's machine only.
set -eu
if [ $# -lt 2 ]; then
    echo "usage: dead-letters.sh PASSCODE-FILE QUEUE [HOST [PORT]]" >&2
    exit 64
fi
passcode=$(<"$1")
exec 3<>"/dev/tcp/${3:-localhost}/${4:-61613}"
printf 'CONNECT\naccept-version:1.2\nhost:/\nlogin:deploykit\npasscode:%s\n\n\0' "$passcode" >&3
printf 'SUBSCRIBE\nid:1\nack:auto\ndestination:%s\n\n\0' "$2" >&3
exec cat <&3
