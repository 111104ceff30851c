# Keeps runs on a node: starts a job once, stays with it to its end, and leaves nothing behind.
#
#   sh KEEPER BASE  says "ready", then reads one line "VERB ARGUMENT..." from stdin and does it
#   sh KEEPER BASE keep RUN IN PARENT SETSID  the process that stays with one run
#
# Needs a POSIX shell, /proc, the usual small tools (coreutils or busybox), and grep, sed, tar and gzip. A run lives in
# BASE/runs/RUN: work (the job's files), log, start (who keeps it), status (how it ended). What must be noted on a full
# disk is the name of an empty file, because a name needs no room.
# shellcheck shell=sh

# Before anything is assigned here: a job gets these names of the node's environment and no others.
if [ "${2-}" = keep ]; then
  set -f
  # Words of a value that look like an assignment name nothing that is set; starting no process makes it quick.
  for name in $(export -p); do
    case ${name%%=*} in
      *[!A-Za-z0-9_]* | [0-9]*) continue ;;
    esac
    name=${name%%=*}
    case $name in
      PATH | HOME | USER | LOGNAME | SHELL | LANG | TZ | TMPDIR | TERM | LC_* | PIP_* | UV_*) ;;
      SSL_CERT_FILE | SSL_CERT_DIR | REQUESTS_CA_BUNDLE | CURL_CA_BUNDLE) ;;
      http_proxy | https_proxy | no_proxy | HTTP_PROXY | HTTPS_PROXY | NO_PROXY) ;;
      BASHOPTS | SHELLOPTS | PPID | UID | EUID | IFS | OPTIND | PWD | OLDPWD | _) ;;
      *) unset "$name" ;;
    esac
  done
  set +f
  PATH=${PATH:-/usr/local/bin:/usr/bin:/bin}
fi

set -u
mask=$(umask)
umask 077
self=$0
base=$1
case $base in /*) ;; *) base=$HOME/$base ;; esac
# Makes every instant a number of one width, so that it can be written over in place.
lease_base=1000000000000000
boot=
{ read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null

say() {
  printf '%s\n' "$*"
}

fail() { # TEXT: an answer that says what went wrong
  say "error $(printf '%s' "$1" | head -n 3 | tr '\n' ' ')"
}

nap() { # a short sleep; old tools know whole seconds only
  sleep 0.05 2>/dev/null || sleep 1
}

clock() { # sets now: hundredths of a second since boot, suspend included
  read -r up _ </proc/uptime
  now=$((${up%.*} * 100 + 1${up#*.} - 100))
}

stamp() { # sets at: the time of day in seconds
  at=$(date +%s.%N)
  case $at in *[!0-9.]*) at=$(date +%s) ;; esac
}

# --- processes --------------------------------------------------------------------------------------------------------

look() { # PID: sets parent group session born; fails when no such process runs
  facts=
  { while IFS= read -r line; do facts="$facts $line"; done <"/proc/$1/stat"; } 2>/dev/null
  [ -n "$facts" ] || return 1
  # The name stands in parentheses and may hold anything, also parentheses.
  # shellcheck disable=SC2086
  set -- ${facts##*) }
  parent=$2 group=$3 session=$4 born=${20}
  case $1 in Z | X) return 1 ;; esac
}

recall() { # sets what the start of the run says; fails when it was never started
  [ -f "$run/start" ] || return 1
  keeper='' keeper_born='' keeper_boot='' mark='' grace=0 started='' epoch_started=0
  while read -r key value; do
    case $key in
      pid) keeper=$value ;;
      born) keeper_born=$value ;;
      boot) keeper_boot=$value ;;
      mark) mark=$value ;;
      grace) grace=$value ;;
      started) started=$value ;;
      epoch) epoch_started=$value ;;
    esac
  done <"$run/start"
}

kept() { # whether the process that claimed the run lives: same boot, same pid, same start time
  [ "$keeper_boot" = "$boot" ] && look "$keeper" && [ "$born" = "$keeper_born" ]
}

leading() { # sets leaders: the sessions that the job's scripts began in
  leaders=' '
  for file in "$run"/leader.*; do
    file=${file##*/leader.}
    born=
    # A number cannot come back while a session bears it, so only another process of that number tells of a reuse.
    look "${file%.*}"
    case $born in '' | "${file#*.}") leaders="$leaders${file%.*} " ;; esac
  done
}

marked() { # sets found: what carries the run's mark in its environment
  found=' '
  for file in $(grep -lsF "LEPTON_RUN_MARK=$mark" /proc/[0-9]*/environ); do
    # The name of one run may begin another's, so the whole entry has to be equal.
    if tr '\0' '\n' 2>/dev/null <"$file" | grep -qxF "LEPTON_RUN_MARK=$mark"; then
      file=${file#/proc/}
      found="$found${file%/environ} "
    fi
  done
}

family() { # sets found: every process of the run, and whole: the groups that hold nothing else
  marked 2>/dev/null
  leading
  all=
  for file in /proc/[0-9]*; do
    look "${file#/proc/}" || continue
    all="$all ${file#/proc/}:$parent:$group"
    case $leaders in *" $session "*) found="$found${file#/proc/} " ;; esac
  done
  more=yes
  while [ $more = yes ]; do
    more=no
    for entry in $all; do
      one=${entry%%:*}
      entry=${entry#*:}
      case $found in *" $one "*) continue ;; esac
      case $found in *" ${entry%:*} "*) found="$found$one " more=yes ;; esac
    done
  done
  groups
}

groups() {
  others=' ' whole=''
  for entry in $all; do
    case $found in *" ${entry%%:*} "*) ;; *) others="$others${entry##*:} " ;; esac
  done
  for entry in $all; do
    case $found in *" ${entry%%:*} "*) ;; *) continue ;; esac
    case "$others $whole " in *" ${entry##*:} "*) ;; *) whole="$whole ${entry##*:}" ;; esac
  done
}

send() { # SIGNAL: to every process found. A group first: it also reaches what is being forked at this instant.
  for one in $whole; do kill "-$1" "-$one"; done 2>/dev/null
  for one in $found; do kill "-$1" "$one"; done 2>/dev/null
  return 0
}

hunt() { # GRACE PATIENCE: ask every process of the run to end and kill what does not; fails when some stays
  family
  [ "$found" != ' ' ] || return 0
  send TERM
  send CONT
  clock
  kill_at=$((now + $1)) give_up=$((now + $1 + $2))
  while nap; family; [ "$found" != ' ' ]; do
    clock
    [ "$now" -lt $kill_at ] || send KILL
    [ "$now" -lt $give_up ] || return 1
  done
}

# --- may it start -----------------------------------------------------------------------------------------------------

cancelled() { # EPOCH: whether the run was cancelled by this epoch or a newer one
  for file in "$run"/cancel/*; do
    [ "${file##*/}" -ge "$1" ] 2>/dev/null && return 0
  done
  return 1
}

fence() { # EPOCH: raise the fence to it; sets newest
  newest=$1
  : >"$run/fence/$1" || return 1
  for file in "$run"/fence/*; do
    [ "${file##*/}" -le "$newest" ] || newest=${file##*/}
  done
}

open() { # EPOCH: whether the run may be started; says why not
  if ! said=$(LC_ALL=C mkdir -p "$run/fence" 2>&1) || ! fence "$1"; then
    fail "$said"
  elif [ "$newest" -gt "$1" ]; then
    say "stale $newest"
  elif [ -f "$run/start" ]; then
    say started
  elif cancelled "$1"; then
    say cancelled
  else
    return 0
  fi
  return 1
}

# --- files ------------------------------------------------------------------------------------------------------------

need() { # RUN EPOCH ID: names of blobs on stdin; says which of them are not here
  run=$base/runs/$1 in=$base/in/$3
  if ! open "$2"; then
    cat >/dev/null
    say .
    return
  fi
  for tool in tar gzip sort uniq; do
    command -v $tool >/dev/null || fail "the node has no $tool, which is needed to receive a workdir"
  done
  LC_ALL=C
  export LC_ALL
  # A file of no length is what a power cut leaves of one that was written just before; the empty file itself is never sent.
  said=$({ mkdir -p "$base/blobs" "$in" && cd "$base/blobs" && find . -type f -size +0 | sed 's,^\./,,' >"$in/have"; } 2>&1) ||
    fail "$said"
  say ok
  # What is asked for once and not here; what is here counts twice.
  cat - "$in/have" "$in/have" | sort | uniq -u
  say .
  # What a client left that died while it sent.
  find "$base/in" -mindepth 1 -maxdepth 1 -mtime +1 -exec rm -rf {} + >/dev/null 2>&1
}

receive() { # ID: a tar of blobs and of links to them on stdin; makes the run's own copy of the tree
  in=$base/in/$1
  LC_ALL=C
  export LC_ALL
  if said=$({ tar -xpof - -C "$in" && assemble; } 2>&1); then
    say ok
  else
    # First, because a client that is gone ends us with the first word.
    sweep "$in"
    fail "$said"
  fi
  say .
  exec >/dev/null 2>&1
  sweep "$in/tree" "$in/links.tar" "$in/b" "$in/have"
}

sweep() { # PATH...: remove folders, also those that may not be written in
  # Files are left as they are: their modes are those of the blobs that they are links to.
  find "$@" -type d ! -perm -700 -exec chmod u+rwx {} \; 2>/dev/null
  rm -rf "$@"
}

assemble() {
  # An archive that was cut off between two files looks whole to tar.
  if [ ! -f "$in/end" ]; then
    say "the archive broke off"
    return 1
  fi
  gzip -d "$in/links.tar.gz" && tar -xpof "$in/links.tar" -C "$base" || return
  cp -RPp "$in/tree" "$in/work" &
  find "$in/b" -type f -exec sh -c 'mv -f "$@" "$0"' "$base/blobs" {} + && wait $!
}

# --- the run itself ---------------------------------------------------------------------------------------------------

keep() { # RUN IN PARENT SETSID: orders on stdin, IN the folder of a received tree or "-"
  run=$base/runs/$1 in=$2 setsid=${4-}
  # A service may not hold the file system that it was started in.
  cd / || exit
  orders=$(cat)
  # Half a message: the client died while it wrote. Nothing was claimed.
  case $orders in *"#end") ;; *) exit ;; esac
  eval "$orders"
  orders=
  if open "$epoch" && claim; then
    say started
    say .
    exec </dev/null >/dev/null 2>&1
    # The shell that brought us waits for our end, which may be days away.
    look $$
    [ "$parent" != "$3" ] || kill -KILL "$parent"
    stay
  else
    say .
    rm -f "$run/.start.$$" "$run/.spare.$$"
    [ "$in" = - ] || rm -rf "$base/in/${in:?}"
  fi
}

claim() { # say durably who keeps the run; only the first claim succeeds
  clock
  began=$now
  stamp
  look $$
  if ! { note >"$run/.start.$$" && printf '%4096s' '' >"$run/.spare.$$"; } 2>/dev/null; then
    # A shell's own words for a failed write do not say why; those of cp do.
    fail "$(LC_ALL=C cp "$self" "$run/.start.$$" 2>&1)"
    return 1
  fi
  if ! said=$(LC_ALL=C ln "$run/.start.$$" "$run/start" 2>&1); then
    if [ -f "$run/start" ]; then say started; else fail "$said"; fi
    return 1
  fi
  sync "$run/start" "$run" 2>/dev/null || sync
}

note() {
  printf '%s %s\n' epoch "$epoch" pid $$ born "$born" boot "$boot" mark "$mark" grace "$grace" started "$at"
}

stay() { # setup, then command, then nothing left
  lost='' watcher=''
  trap 'lost=yes' TERM
  exec 6>>"$run/log"
  if [ "$in" = - ]; then
    mkdir "$run/work"
  else
    mv "$base/in/$in/work" "$run/work"
    rm -rf "$base/in/${in:?}"
  fi
  if [ -n "$lease" ]; then
    echo $((lease_base + began + lease)) >"$run/lease"
  fi
  if [ -n "$limit$lease" ]; then
    watch &
    watcher=$!
  fi
  # The job runs in the foreground of a pipe: in the background a shell would make it deaf to SIGINT and SIGQUIT.
  work 6>&- | copy
  [ -z "$watcher" ] || kill "$watcher"
  [ -f "$run/status" ] || result
}

copy() { # what the job prints goes to the log; what does not fit there is dropped, and the job goes on
  until cat >&6; do
    : >"$run/log.full"
  done
}

work() {
  trap : TERM
  code=
  if [ -n "$setup" ] && ! told; then
    script -ec "$setup"
    [ "$code" = 0 ] || : >"$run/setup.failed"
  fi
  if [ "${code:-0}" = 0 ] && ! told; then
    : >"$run/running"
    script -c "$command"
  fi
  ! cancelled 0 || : >"$run/why.cancelled"
  : >"$run/code.${code:-143}"
  if ! hunt $((grace < 100 ? grace : 100)) 1000; then
    result "processes$found did not end after SIGKILL"
    # The pipe will not end either.
    kill -KILL $$
  fi
}

told() { # whether the run was told to stop
  [ -f "$run/why.timeout" ] || [ -f "$run/why.lease" ] || cancelled "$epoch"
}

script() { # FLAGS TEXT: run one script of the job to its end; sets code
  (
    umask "$mask"
    cd "$run/work" || exit 126
    read -r one _ </proc/self/stat
    look "$one"
    [ -z "$setsid" ] || : >"$run/leader.$one.$born"
    # From here on the job's variables may stand in the place of ours.
    # shellcheck disable=SC2086
    set -- $setsid /bin/sh "$1" "$2"
    variables
    exec "$@"
  ) </dev/null 2>&1
  code=$?
}

watch() { # ends the run at its time limit, or when nobody renewed its lease
  sleeper=
  trap 'kill $sleeper; exit' TERM
  while :; do
    clock
    rest=500
    if [ -n "$limit" ]; then
      before $((began + limit)) || put_down timeout
    fi
    if [ -n "$lease" ]; then
      read -r end <"$run/lease"
      before $((end - lease_base)) || put_down lease
    fi
    part=$((100 + rest % 100))
    { sleep "$((rest / 100)).${part#1}" || sleep 1; } &
    sleeper=$!
    wait $sleeper
  done
}

before() { # INSTANT: whether it lies ahead; shortens rest
  [ $(($1 - now)) -gt 0 ] || return 1
  [ $(($1 - now)) -ge "$rest" ] || rest=$(($1 - now))
}

put_down() { # REASON: end the run; a script that is just beginning is met by the next round
  : >"$run/why.$1"
  while :; do
    hunt "$grace" 1000
    nap
  done
}

result() { # [REMARK]: say how the run ended
  remark=${1-}
  code=
  for file in "$run"/code.*; do
    code=${file##*/code.}
  done
  [ ! -f "$run/log.full" ] || remark="${remark:+$remark; }some bytes of output did not fit on the disk"
  if [ -n "$lost" ]; then
    conclude lost '' '' 'something else than the SDK ended the run (SIGTERM); is the host going down?'
  elif [ -f "$run/why.lease" ]; then
    conclude lost '' '' "the node stopped the run: nobody renewed its lease of $((lease / 100)) seconds"
  elif [ "$code" = '*' ]; then
    conclude lost '' '' 'the process that waits for the job was ended'
  elif [ -f "$run/why.timeout" ]; then
    conclude finished "$code" timeout "$remark"
  elif [ -f "$run/why.cancelled" ]; then
    conclude finished "$code" cancelled "$remark"
  elif [ -f "$run/setup.failed" ]; then
    conclude finished "$code" setup "$remark"
  else
    conclude finished "$code" exit "$remark"
  fi
}

conclude() { # STATE CODE REASON DETAIL: in the block that was taken while there was room
  stamp
  printf '%s %s\n' state "$1" code "$2" reason "$3" finished "$at" detail "$4" 1<>"$run/.spare.$$"
  mv -f "$run/.spare.$$" "$run/status"
  rm -f "$run/.start.$$"
  sync "$run/log" "$run/status" "$run" || sync
}

# --- questions --------------------------------------------------------------------------------------------------------

serve() { # one question for each line; starts no process
  while read -r verb run epoch lease; do
    run=$base/runs/$run
    [ "$verb" != poll ] || poll
    say .
  done
}

poll() {
  if ! recall; then
    say absent
    return
  fi
  # The order matters: a result that is written between the two looks must not be taken for a loss.
  if kept; then
    say lives
    [ "$lease" = 0 ] || [ ! -f "$run/lease" ] || renew
  fi
  [ ! -f "$run/running" ] || say running
  say "started $started"
  if [ -f "$run/status" ]; then
    while read -r line; do
      [ -z "$line" ] || say "$line"
    done <"$run/status"
  fi
}

renew() { # an older follower renews nothing
  for file in "$run"/fence/*; do
    [ "${file##*/}" -le "$epoch" ] || return 0
  done
  clock
  # In place: the watcher never sees half a number, and a full disk has room for it.
  echo $((lease_base + now + lease)) 1<>"$run/lease"
}

logs() { # RUN FIRST FOLLOW: the log from byte FIRST (the first is 1)
  run=$base/runs/$1
  [ -f "$run/log" ] || return 0
  if [ "$3" = 0 ] || [ -f "$run/status" ] || ! recall || ! kept; then
    exec tail -c "+$2" "$run/log"
  fi
  case $tail in
    *GNU*) exec tail -c "+$2" -s 0.1 --pid="$keeper" -f "$run/log" ;;
  esac
  first=$2
  while :; do
    ended=no
    # Asked first: what is written before the end must be read after it.
    if [ -f "$run/status" ] || ! kept; then ended=yes; fi
    size=$(wc -c <"$run/log")
    if [ "$size" -ge "$first" ]; then
      tail -c "+$first" "$run/log" | head -c $((size - first + 1)) || return
      first=$((size + 1))
    elif [ $ended = yes ]; then
      return
    else
      sleep 0.1 2>/dev/null || sleep 1
    fi
  done
}

# --- the end of it ----------------------------------------------------------------------------------------------------

cancel() { # RUN EPOCH PATIENCE: end every process of the run; one that has not started never will
  run=$base/runs/$1
  if [ -f "$run/status" ] && grep -q '^state finished' "$run/status"; then
    say ok
    say .
    return
  fi
  if ! said=$({ mkdir -p "$run/cancel" && : >"$run/cancel/$2"; } 2>&1); then
    fail "$said"
  elif ! recall || [ "$keeper_boot" != "$boot" ]; then
    say ok
  else
    : >"$run/cancel/$epoch_started"
    if end "$3"; then say ok; else say "left$found"; fi
  fi
  say .
}

end() { # PATIENCE
  clock
  over=$((now + grace + $1))
  while :; do
    hunt "$grace" "$1" || return
    [ ! -f "$run/status" ] || return 0
    kept || break
    clock
    # A keeper that is stopped itself will never say how the run ended.
    [ "$now" -lt $over ] || kill -KILL "$keeper"
    nap
  done
  # A script that was just beginning when its keeper died.
  nap
  hunt 0 "$1"
}

if [ $# -gt 1 ]; then
  shift
  "$@"
else
  # Asked while nobody waits for the answer.
  tail=$(tail --version 2>/dev/null)
  setsid=$(command -v setsid)
  say ready
  read -r line || exit 0
  # shellcheck disable=SC2086
  set -- $line
  case ${1-} in
    # Not by exec: the shell that sshd waits for must stay until the orders are read, because its end closes their pipe.
    keep)
      umask "$mask"
      # shellcheck disable=SC2086
      $setsid /bin/sh "$self" "$base" "$@" $$ "$setsid"
      ;;
    need | receive | serve | logs | cancel) "$@" ;;
  esac
fi
