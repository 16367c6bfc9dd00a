#!/bin/sh
# Records 200 requests for a page of the example server; fails if one of performance.rules holds.
# Usage: check-performance.sh NEW.rec [BASELINE.rec ...]
# Exit status: 0 if no rule failed, 10 if one did, another if that cannot be told.
set -eu
new=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(id -u)" -eq 0 ]; then sudo=; else sudo=sudo; fi # Only recording needs to be root.

work=$(mktemp -d)
server=
trap 'rm -rf "$work"; [ -z "$server" ] || kill "$server"' EXIT
mkfifo "$work/address" "$work/progress"

(cd "$here/../../example-go" && go build -o "$work/server" .)
# shellcheck disable=SC2086 # several options
"$work/server" -addr 127.0.0.1:0 ${SERVER_OPTIONS:-} >"$work/address" &
server=$!
read -r address <"$work/address"

# It ends by itself: after 200 trees, or after a minute if they do not come.
$sudo "$(command -v gofuncgraph)" record -o "$new" --count 200 --duration 60s \
    -u 'main.*' -u '*/store.*' "$work/server" '*handleReport' 2>"$work/progress" &
recorder=$!
exec 3<"$work/progress"
while read -r line <&3; do
    printf '%s\n' "$line"
    case $line in 'tracing started'*) break ;; esac
done
curl --silent --show-error --fail --output "$work/page" "http://$address/report?[1-200]"
cat <&3
wait "$recorder"

if [ $# -eq 0 ]; then
    echo "There is no baseline to compare with; $new can be one."
    exit
fi
gofuncgraph check "$new" --baseline "$@" --rules "$here/performance.rules" \
    --junit performance.xml --markdown performance.md
