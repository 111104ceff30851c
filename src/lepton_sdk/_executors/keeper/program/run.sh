# The process that stays with one run: setup, command, result.
# shellcheck shell=sh disable=SC2034,SC2154

keep() { # RUN IN PARENT SETSID FOLLOW: orders on stdin, IN the folder of a received tree or "-"; with FOLLOW the log comes after the answer
  run=$base/runs/$1 in=$2 setsid=${4-} follow=${5-} work=''
  [ "$in" != - ] || work=$run/work
  # A service may not hold the file system that it was started in.
  cd / || exit
  # What takes a process of its own is done while the orders come.
  orders=$(mkdir -p "$run/fence" "$run/cancel" ${work:+"$work"} 2>/dev/null & date +%s.%N; cat; wait)
  # An old date says no more than the seconds.
  at=${orders%%[!0-9.]*} at=${at%.}
  orders=${orders#*"$newline"}
  # Half a message: the client died while it wrote. Nothing was claimed.
  case $orders in *"#end") ;; *) exit ;; esac
  eval "$orders"
  orders=
  if open "$epoch" && entrust "$1" && claim; then
    exec 7>&1 </dev/null >/dev/null 2>&1
    [ -z "$follow" ] || first_output
    look $$
    # Who asked may have died since: the run is claimed, and an answer that nobody hears must not end it.
    trap '' PIPE
    wait "$durable" || sync
    say started >&7
    say . >&7
    exec 7>&-
    trap - PIPE
    # The shell that brought us waits for our end, which may be days away.
    [ "$parent" != "$3" ] || kill -KILL "$parent"
    stay
  else
    say .
    rm -f "$run/.start.$$" "$run/.spare.$$"
    [ "$in" = - ] || sweep "$base/in/${in:?}"
  fi
}

first_output() { # the log into the channel that brought the orders, so that nobody has to ask for its first lines
  printf '' >>"$run/log"
  case $tail in *GNU*) tail -c +1 -s 0.1 --pid=$$ -f "$run/log" >&7 & ;; esac
}

claim() { # say durably who keeps the run since when; only the first claim succeeds
  clock
  began=$now
  look $$
  if ! { note >"$run/.start.$$" && printf '%4096s' '' >"$run/.spare.$$"; } 2>/dev/null; then
    # A shell's own words for a failed write do not say why; those of cp do.
    said=$(LC_ALL=C cp "$self" "$run/.start.$$" 2>&1)
    rm -f "$run/.start.$$" "$run/.spare.$$" "$run/fence/$epoch"
    rmdir "$run/work" "$run/fence" "$run/cancel" "$run" "${run%/*}" 2>/dev/null
    fail "$said"
    return 1
  fi
  if ! said=$(LC_ALL=C ln "$run/.start.$$" "$run/start" 2>&1); then
    if [ -f "$run/start" ]; then say started; else fail "$said"; fi
    return 1
  fi
  # Waited for before anybody hears of it, and before the job begins.
  sync "$run/start" "$run" 2>/dev/null &
  durable=$!
}

note() {
  printf '%s %s\n' epoch "$epoch" pid $$ born "$born" boot "$boot" mark "$mark" grace "$grace" started "$at"
}

stay() { # setup, then command, then nothing left
  lost=''
  exec 6>>"$run/log"
  if [ "$in" != - ]; then
    mv "$base/in/$in/work" "$run/work"
    rmdir "$base/in/$in" 2>/dev/null || sweep "$base/in/${in:?}" &
  fi
  if [ -n "$lease" ]; then
    echo $((lease_base + began + lease)) >"$run/lease"
  fi
  watch &
  watcher=$!
  # The job runs in the foreground of a pipe: in the background a shell would make it deaf to SIGINT and SIGQUIT.
  work 6>&- | copy
  kill -USR1 "$watcher"
  [ -f "$run/status" ] || result
}

copy() { # what the job prints goes to the log; what does not fit there is dropped, and the job goes on
  until cat >&6; do
    printf '' >"$run/log.full"
  done
}

work() {
  trap : TERM
  code='' failures=0 pause=100
  if [ -n "$setup" ] && ! told; then
    script -ec "$setup"
    [ "$code" = 0 ] || printf '' >"$run/setup.failed"
  fi
  if [ "${code:-0}" = 0 ] && ! told; then
    printf '' >"$run/running"
    script -c "$command"
    while [ "$code" != 0 ] && [ "$failures" -lt "$again" ] && once_more; do
      script -c "$command"
    done
  fi
  ! cancelled 0 || printf '' >"$run/why.cancelled"
  printf '' >"$run/code.${code:-143}"
  if ! emptied && ! hunt $((grace < 100 ? grace : 100)) 1000; then
    result "processes$found did not end after SIGKILL"
    # The pipe will not end either.
    kill -KILL $$
  fi
}

once_more() { # note that the command failed, and wait; fails when the run was told to stop meanwhile
  ! told || return 1
  number=$((10000 + failures)) failures=$((failures + 1))
  printf '' >"$run/failed.${number#1}.$code"
  say "lepton: the command ended with exit code $code; start $failures of $again more in $((pause / 100)) s"
  tidy TERM
  clock
  resume=$((now + pause)) pause=$((pause < 3200 ? 2 * pause : 6000))
  while [ "$now" -lt $resume ]; do
    ! told || return 1
    nap
    clock
  done
  tidy KILL
  rm -f "$run"/try.*
}

tidy() { # SIGNAL: to what the failed command left; what setup began lives on
  family
  for one in $found; do
    look "$one" && [ -f "$run/try.$session" ] && kill "-$1" "$one" 2>/dev/null
  done
}

told() { # whether the run was told to stop
  [ -f "$run/why.timeout" ] || [ -f "$run/why.idle" ] || [ -f "$run/why.lease" ] || cancelled "$epoch"
}

script() { # FLAGS TEXT: run one script of the job to its end; sets code
  (
    umask "$mask"
    PATH=$path
    cd "$run/work" || exit 126
    read -r one _ </proc/self/stat
    look "$one"
    [ -z "$setsid" ] || printf '' >"$run/leader.$one.$born"
    [ "$1$again" = -c0 ] || [ "$1" != -c ] || printf '' >"$run/try.$one"
    # From here on the job's variables may stand in the place of ours.
    # shellcheck disable=SC2086
    set -- "$failures" $setsid /bin/sh "$1" "$2"
    variables
    [ "$1" = 0 ] || export LEPTON_JOB_FAILURE_COUNT=$((${LEPTON_JOB_FAILURE_COUNT:-0} + $1))
    shift
    exec "$@"
  ) </dev/null 2>&1
  code=$?
}

watch() { # ends the run at its time limit, when nobody renewed its lease, when its GPUs do nothing, or when its keeper is gone
  sleeper='' busy='' sampled=0
  # A host that goes down sends this to everything; how the run ended is noted all the same.
  trap '' TERM
  trap 'kill -KILL $sleeper; exit' USR1
  while look $$; do
    clock
    rest=500
    if [ -n "$limit" ]; then
      before $((began + limit)) || put_down timeout
    fi
    if [ -n "$lease" ]; then
      read -r end <"$run/lease"
      before $((end - lease_base)) || put_down lease
    fi
    if [ -n "$idle" ] && [ -f "$run/running" ]; then
      sample
      before $((busy + idle)) || put_down idle
    fi
    if [ $rest = 500 ]; then
      sleep 5 &
    else
      part=$((100 + rest % 100))
      { sleep "$((rest / 100)).${part#1}" || sleep 1; } &
    fi
    sleeper=$!
    wait $sleeper
  done
  # Nobody follows the job any more who could tell how it ends.
  lost=yes
  until hunt "$grace" 1000; do nap; done
  [ -f "$run/status" ] || result
}

sample() { # sets busy: when the GPUs were last seen at work, or could not be seen
  [ -n "$busy" ] || busy=$now
  [ "$now" -ge "$sampled" ] || return 0
  sampled=$((now + (idle < 15000 ? idle / 10 : 1500)))
  # Another tool's word than that of the driver would be a guess: unknown is never idle.
  used=$(nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits 2>/dev/null) || used=
  clock
  for one in ${used:-unknown}; do
    [ "$one" = 0 ] || busy=$now
  done
}

before() { # INSTANT: whether it lies ahead; shortens rest
  [ $(($1 - now)) -gt 0 ] || return 1
  [ $(($1 - now)) -ge "$rest" ] || rest=$(($1 - now))
}

put_down() { # REASON: end the run; a script that is just beginning is met by the next round
  printf '' >"$run/why.$1"
  while look $$; do
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
    conclude lost '' '' 'something else than the SDK ended the program that keeps the run (SIGTERM or SIGKILL); is the host going down?'
  elif [ -f "$run/why.lease" ]; then
    conclude lost '' '' "the node stopped the run: nobody renewed its lease of $((lease / 100)) seconds"
  elif [ "$code" = '*' ]; then
    conclude lost '' '' 'the process that waits for the job was ended'
  elif [ -f "$run/why.timeout" ]; then
    conclude finished "$code" timeout "$remark"
  elif [ -f "$run/why.idle" ]; then
    conclude finished "$code" idle "$remark"
  elif [ -f "$run/why.cancelled" ]; then
    conclude finished "$code" cancelled "$remark"
  elif [ -f "$run/setup.failed" ]; then
    conclude finished "$code" setup "$remark"
  else
    conclude finished "$code" exit "$remark"
  fi
}

since() { # moves at, the time of day when the run began, to now; by the time since boot, which takes no process
  clock
  part=00
  case $at in *.??*) part=${at#*.} part=${part%"${part#??}"} ;; esac
  # Rounded up: nothing ends before it has begun.
  passed=$((now - began + 1$part - 99))
  part=$((100 + passed % 100))
  at=$((${at%.*} + passed / 100)).${part#1}
}

conclude() { # STATE CODE REASON DETAIL: in the block that was taken while there was room
  since
  printf '%s %s\n' state "$1" code "$2" reason "$3" finished "$at" detail "$4" 1<>"$run/.spare.$$"
  # Its bytes reach the disk before its name does: a power cut must not leave a result of no length.
  sync "$run/.spare.$$" "$run/log" || sync
  mv -f "$run/.spare.$$" "$run/status"
  rm -f "$run/.start.$$"
  sync "$run" || sync
}

