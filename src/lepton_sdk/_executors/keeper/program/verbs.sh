# What is asked about a run, and the entry.
# shellcheck shell=sh disable=SC2034,SC2154

serve() { # one question for each line; starts no process
  while read -r verb run epoch lease watchdog; do
    case $verb in
      poll)
        run=$base/runs/$run
        poll
        ;;
      lives) lives "$run" ;;
    esac
    say .
  done
}

poll() {
  [ "$watchdog" = - ] || visit "$watchdog"
  if ! recall; then
    say absent
    return
  fi
  # The order matters: a result that is written between the two looks must not be taken for a loss.
  if kept; then
    say lives
    [ ! -f "$run/lease" ] || renew
  fi
  [ ! -f "$run/running" ] || say running
  failures=
  for file in "$run"/failed.*; do
    # Two numbers are in the name: which failure, and its exit code.
    file=${file##*.}
    case $file in '' | *[!0-9]* | ????*) ;; *) failures="$failures $file" ;; esac
  done
  [ -z "$failures" ] || say "failures$failures"
  say "started $started"
  if [ -f "$run/status" ]; then
    # A job can write into its own record. A line that ends an answer, or stands in another's place, must not come from there.
    while read -r key line; do
      case $key in state | code | reason | finished | detail) say "$key $line" ;; esac
    done <"$run/status"
  fi
}

renew() { # say the time, from which the next renewal counts; an older follower renews nothing
  clock
  say "clock $now"
  [ "$lease" != 0 ] || return 0
  for file in "$run"/fence/*; do
    [ "${file##*/}" -le "$epoch" ] || return 0
  done
  read -r end <"$run/lease"
  [ $((lease_base + lease)) -gt "$end" ] || return 0
  # In place: the watcher never sees half a number, and a full disk has room for it.
  echo $((lease_base + lease)) 1<>"$run/lease"
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
  recall || keeper_boot='' grace=500 epoch_started=''
  # From its name: what its own files say of a run, its job can change. For the same reason a result alone ends nothing.
  mark=${1%%/*}-${1##*/}
  if [ -f "$run/status" ] && grep -q '^state finished' "$run/status" && ! kept; then
    say ok
    say .
    return
  fi
  said=$({ mkdir -p "$run/cancel" && printf '' >"$run/cancel/$2"; } 2>&1)
  marked=$?
  if [ -n "$epoch_started" ] && [ "$keeper_boot" = "$boot" ]; then
    printf '' 2>/dev/null >"$run/cancel/$epoch_started"
    if end "$3"; then say ok; else say "left$found"; fi
  elif [ -z "$epoch_started" ] && [ -f "$run/log" ]; then
    # Something began, and its record is gone.
    if hunt "$grace" "$3"; then say ok; else say "left$found"; fi
  elif [ $marked = 0 ]; then
    say ok
  else
    fail "$said"
  fi
  say .
}

end() { # PATIENCE
  over=''
  while :; do
    hunt "$grace" "$1" || return
    [ ! -f "$run/status" ] || return 0
    kept || break
    clock
    # A keeper that is stopped itself will never say how the run ended. A tree that fought back has taken time of its own.
    over=${over:-$((now + grace + $1))}
    [ "$now" -lt "$over" ] || kill -KILL "$keeper"
    nap
  done
  # A script that was just beginning when its keeper died.
  nap
  hunt 0 "$1"
}

attend() { # PARENT SETSID [NEARBY [ADOPTS]]: one verb, for whoever is connected
  brought_by=$1 setsid=$2 nearby=${3-} adopts=${4-} tail=''
  # Asked while nobody waits for the answer.
  [ -n "$nearby" ] || tail=$(tail --version 2>/dev/null)
  # A client's PATH may be for its own programs only.
  [ -z "$nearby" ] || PATH=$PATH:/usr/bin:/bin
  say ready
  read -r line || exit 0
  # shellcheck disable=SC2086
  set -- $line
  case ${1-} in
    keep) keep "$2" "$3" "$brought_by" "$setsid" "${4-}" ;;
    need | receive | list | pack | serve | logs | cancel | arm) "$@" ;;
  esac
}

if [ $# -gt 1 ]; then
  shift
  "$@"
else
  # Made before it is needed: a run is kept in a session of its own. Not by exec: the shell that sshd waits for must stay
  # until the orders of a run are read, because its end closes their pipe.
  setsid=$(command -v setsid)
  umask "$mask"
  # shellcheck disable=SC2086
  $setsid /bin/sh "$self" "$base" attend $$ "$setsid"
fi
