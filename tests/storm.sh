#!/usr/bin/env bash
# A storm: a Reporter that never rests and twenty Observers, all behind a proxy that cuts connections, sends commits
# twice, loses them and brings them late, while the node is killed twice and comes back knowing nothing. At every version
# that anybody has seen, and at the end, everybody must have the same data, hash and position as the Reporter.
#
#   BYLINE_BIN            the `byline` to be tried; `byline-proxy` lies beside it (default: target/debug/byline)
#   BYLINE_STORM_SECONDS  how long it reports, about (default: 20)
#   BYLINE_SEED           what the proxy does to which connection (default: another each time); when is the machine's
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." >/dev/null && pwd)
byline=${BYLINE_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/byline}
seconds=${BYLINE_STORM_SECONDS:-20}
seed=${BYLINE_SEED:-$(date +%s%N)}
observers=20
object=ctxt://localhost/storm
last=$((seconds * 13))          # versions, at the pace of `report_all`
patience=$((seconds * 2 + 120)) # seconds after which an Observer that has not arrived gives up

# A Reporter that takes no more lines must not hold this up for ever.
if [[ ${1:-} != in-time ]]; then exec timeout --verbose $((patience + 30)) "$0" in-time; fi

storm=$(mktemp -d)
trap clean_up EXIT
trap 'exit 1' TERM

main() {
  printf 'about %s s; replay with BYLINE_SEED=%s\n' "$seconds" "$seed"
  documents >"$storm/documents"
  mkfifo "$storm/input" "$storm/node" "$storm/proxy"
  start_node 127.0.0.1:0
  address=${url#ws://} address=${address%/ws}
  "$(dirname -- "$byline")/byline-proxy" "$address" "$seed" >"$storm/proxy" &
  proxy=$!
  exec 4<"$storm/proxy"
  read -r url <&4

  as reporter report "$object" --public <"$storm/input" &
  reporter=$!
  exec 3>"$storm/input"
  local pids=() number pid counts
  for ((number = 1; number <= observers; number++)); do
    as "observer-$number" observe "$object" --until-version "$last" --timeout "$patience" &
    pids+=($!)
  done

  report_all
  for pid in "${pids[@]}"; do wait "$pid"; done
  kill -TERM "$reporter" && wait "$reporter"
  kill -TERM "$proxy" && read -r counts <&4
  printf 'the proxy: %s\n' "$counts"
  compare "$counts"
}

# The states of the object, one a line, as Byline writes them: text that grows, a list that moves, a key that comes and
# goes; and what never changes, so that a few commits are less than the whole.
documents() {
  awk -v last="$last" 'BEGIN {
    for (seat = 1; seat <= 200; seat++) seats = seats (seat > 1 ? "," : "") "\"the seat " seat "\""
    for (n = 0; n <= last; n++) {
      log_ = ""
      for (entry = n; entry < n + 20; entry++) log_ = log_ (entry > n ? "," : "") "\"entry " entry "\""
      note = "día"
      for (word = n - n % 25; word < n; word++) note = note " " word
      seen = n % 3 ? ",\"seen\":" n % 5 : ""
      lamp = n % 2 ? "true" : "false"
      room = "{\"lamp\":" lamp ",\"people\":" n % 7 "}"
      print "{\"line\":" n ",\"log\":[" log_ "],\"note\":\"" note "\",\"room\":" room ",\"seats\":[" seats "]" seen ",\"temperature\":" n * 7 % 64 ".5}"
    }
  }'
}

# Reports every state: bursts of 20, then 40 at ten in a second. In between the node is killed, and comes back 20 versions
# later. Before the end the weather clears, so that the last of all commits is not lost.
report_all() {
  local line number=0
  while IFS= read -r line; do
    printf '%s\n' "$line" >&3
    case $number in
      $((last / 3)) | $((last * 2 / 3))) kill_node ;;
      $((last / 3 + 20)) | $((last * 2 / 3 + 20))) start_node "$address" ;;
      $((last - 20))) kill -USR1 "$proxy" ;;
    esac
    ((number % 60 < 20)) || sleep 0.1
    number=$((number + 1))
  done <"$storm/documents"
}

start_node() {
  "$byline" node --json --listen "$1" >"$storm/node" &
  node=$!
  local ready
  read -r ready <"$storm/node"
  url=${ready#*'"url":"'} url=${url%%'"'*}
}

# Waits until its port is free again; its death is not announced.
kill_node() { { kill -KILL "$node" && wait "$node"; } 2>/dev/null || true; }

# as NAME COMMAND ARGS: runs byline with a key of its own, through the proxy.
as() {
  local name=$1
  shift
  exec "$byline" "$@" --json --node "$url" --key "$storm/$name.key" >"$storm/$name.json" 2>"$storm/$name.errors"
}

# compare COUNTS: compares everything that was printed, and adds up what was met and got over.
compare() {
  local -a counts=()
  local count
  for count in $1; do counts+=(-v "$count"); done
  awk -v last="$last" -v observers="$observers" "${counts[@]}" '
    function value(name,  found) {
      match($0, "\"" name "\":\"?[^\",}]*")
      found = substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3)
      sub(/^"/, "", found)
      return found
    }
    function missed(what) { print what; failed = 1 }
    function wrong(what) { missed(FILENAME ", line " FNR ": " what) }
    function same(version, position) {
      if (version in known && known[version] != position) wrong(position ", elsewhere " known[version])
      known[version] = position
    }
    FNR == 1 { files++; before = 0 }
    files == 1 { document[FNR - 1] = $0; next }
    /^{"event":"reported"/ { reported++; same(value("version"), value("epoch") " " value("version") " " value("hash")) }
    /^{"event":"(snapshot|change)"/ {
      version = value("version") + 0
      same(version, value("epoch") " " version " " value("hash"))
      data = substr($0, index($0, "\"data\":") + 7)
      if (data != document[version] "}") wrong("version " version " is not what was reported")
      if (version < before) wrong("back from version " before " to " version)
      before = version
      if (version == last) arrived++
    }
    /^{"event":"counters"/ {
      commits += value("catchUps"); snapshots += value("snapshots") - 1
      duplicates += value("duplicates"); gaps += value("gaps")
      if (value("divergences") + value("rewinds") > 0) wrong("it was another object for a while: " $0)
    }
    END {
      if (reported != last) missed(reported + 0 " of " last " versions were reported")
      if (arrived != observers) missed(arrived + 0 " of " observers " Observers have the last version")
      printf "%d versions, %d cuts, 2 nodes killed\n", last, cuts
      printf "%d recoveries by commits, %d by snapshot, %d duplicates, %d gaps\n", commits, snapshots, duplicates, gaps
      all = cuts && twice && lost && late && commits > 0 && snapshots > 0 && duplicates && gaps
      if (!all) missed("each of these must have been met")
      exit failed
    }' "$storm"/{documents,reporter.json,observer-*.json}
}

clean_up() {
  local status=$?
  ((status == 0)) || grep . "$storm"/*.errors >&2 || true
  exec 2>/dev/null # or the death of each child would be announced
  kill -KILL $(jobs -p) || true # whoever is still here
  wait || true
  rm -rf -- "$storm"
}

main
