#!/usr/bin/env bash
# Print the answer to each utterance, with socat and jq.
#
#     examples/bash_jq.sh [SOCKET]
set -euo pipefail

socket=${1:-${SER_SOCKET:-${XDG_RUNTIME_DIR:-$HOME/.cache}/ser-daemon/ser.sock}}

# -u: socat only reads. Without it, socat ends half a second after its own stdin has ended.
socat -u "UNIX:$socket" - |
    jq --unbuffered -r 'select(.type == "emotion" and .data.final) | .data | "\(.utterance_id) \(.label) \(.confidence)"'
