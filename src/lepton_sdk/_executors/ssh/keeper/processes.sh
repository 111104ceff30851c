# Which processes belong to a run, and ending them.
# shellcheck shell=sh disable=SC2013,SC2034,SC2154

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

