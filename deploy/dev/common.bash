# What the scripts of this folder share; sourced, not run. Linux only: processes are told apart by /proc.

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "$@"
  exit 1
}

# Where what was downloaded and built stays, by version, for all clones of a user.
cache=${CARILLON_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/carillon}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

# Debian's packages of these names. Anywhere but on Debian or its relatives as root the names are enough to go by.
install_packages() {
  if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then fail "please install: $*"; fi
  say "installing $*"
  (
    flock 9
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"
  ) 9> "$cache/apt.lock" >&2 || fail "apt-get could not install $*"
}

docker_runs() { command -v docker >/dev/null && docker info >/dev/null 2>&1; }

# A port that nobody listens on, below those that the kernel hands out by itself.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); do
    answers "$port" || break
  done
  printf '%s\n' "$port"
}

answers() { (: < "/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Whether the node or the balancer on a port says that it takes clients.
ready() {
  (exec 3<> "/dev/tcp/127.0.0.1/$1" && printf 'GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n' >&3 &&
    [ "$(head -c 12 <&3)" = 'HTTP/1.1 200' ]) 2>/dev/null
}

# When a process started, in ticks: with its id a name that is not given twice. Nothing where it has ended.
started() { sed -n 's/.*) [^Z] //p' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 19; }

# launch FOLDER NAME COMMAND...: in a session of its own, so that Ctrl-C reaches only the script that stops it.
launch() {
  local folder=$1 name=$2
  shift 2
  if runs "$folder" "$name"; then fail "$name runs in $folder already"; fi
  setsid "$@" < /dev/null > "$folder/$name.log" 2>&1 &
  printf '%s %s\n' $! "$(started $!)" > "$folder/$name.pid"
}

runs() {
  local pid start
  read -r pid start 2>/dev/null < "$1/$2.pid" && [ -n "$start" ] && [ "$(started "$pid")" = "$start" ]
}

# until_true FOLDER NAME SECONDS COMMAND...: waits for a fact about a launched process, in vain where that ends before.
until_true() {
  local folder=$1 name=$2 deadline=$((SECONDS + $3))
  shift 3
  until "$@"; do
    if ! runs "$folder" "$name"; then
      tail -n 20 "$folder/$name.log" >&2 || true
      fail "$name ended early"
    fi
    [ "$SECONDS" -le "$deadline" ] || fail "$name did not come up; see $folder/$name.log"
    sleep 0.05
  done
}

# terminate FOLDER NAME SIGNAL: waits for the end, and forces it after half a minute.
terminate() {
  local folder=$1 name=$2 signal=$3 pid deadline=$((SECONDS + 30))
  if runs "$folder" "$name"; then
    read -r pid _ < "$folder/$name.pid"
    kill -s "$signal" "$pid" 2>/dev/null || true
    while runs "$folder" "$name"; do
      if [ "$SECONDS" -gt "$deadline" ]; then
        say "$name did not end by SIG$signal"
        kill -s KILL "$pid" 2>/dev/null || true
      fi
      sleep 0.05
    done
  fi
  rm -f "$folder/$name.pid"
}
