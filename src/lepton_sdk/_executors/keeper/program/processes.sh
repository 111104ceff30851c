# Which processes belong to a run, and ending them.
# shellcheck shell=sh disable=SC2013,SC2034,SC2154

leading() { # sets leaders: the sessions that the job's scripts began in
  leaders=' '
  for file in "$run"/leader.*; do
    # Where nothing began there is only the pattern itself.
    [ -f "$file" ] || continue
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

among() { # FIELD NUMBERS: says which processes have a parent (0), group (1) or session (2) out of "12|34"
  [ -n "$2" ] || return 0
  for file in $(grep -lsE "\) [^ZX]( [0-9]+){$1} ($2) " /proc/[0-9]*/stat); do
    file=${file#/proc/}
    # A name can look like the numbers that follow it, so each is read once more with care.
    look "${file%/stat}" || continue
    case $1 in 0) fact=$parent ;; 1) fact=$group ;; *) fact=$session ;; esac
    case "|$2|" in *"|$fact|"*) say "${file%/stat}" ;; esac
  done
}

adopted() { # sets orphans: what the kernel gave to the keeper when its parent ended. The keeper's own helpers are in its session
  orphans=''
  known || return 0
  mine=$session children=
  { read -r children <"/proc/$keeper/task/$keeper/children"; } 2>/dev/null
  # Some kernels do not list them.
  [ -e "/proc/$keeper/task/$keeper/children" ] || children=$(among 0 "$keeper")
  for one in $children; do
    ! look "$one" || [ "$session" = "$mine" ] || orphans="$orphans$one "
  done
}

known() { # whether the keeper of this run lives; sets its session. Its own helpers know it as $$
  if [ -z "${keeper_born-}" ]; then
    keeper=$$ && look $$
  else
    # A job can write another process into its record, whose children must not die for it.
    grep -qsF attend "/proc/$keeper/cmdline" && kept
  fi
}

emptied() { # in the keeper, when all scripts have ended: whether they left no process at all. What lives is an orphan by now.
  # Where the keeper adopts no orphans, only a look at all processes of the host can tell.
  [ -n "$adopts" ] && [ -n "$setsid" ] && adopted && [ -z "$orphans" ]
}

listed() { # WORD...: sets list: "WORD|WORD"
  list=
  for one in "$@"; do
    list=$list${list:+|}$one
  done
}

family() { # sets found: every process of the run, and whole: the groups that hold nothing else
  marked 2>/dev/null
  adopted
  found="$found$orphans"
  leading
  # shellcheck disable=SC2086
  listed $leaders
  for one in $(among 2 "$list"); do
    case $found in *" $one "*) ;; *) found="$found$one " ;; esac
  done
  fresh=$found
  while [ "$fresh" != ' ' ]; do
    # shellcheck disable=SC2086
    listed $fresh
    fresh=' '
    for one in $(among 0 "$list"); do
      case $found in *" $one "*) ;; *) found="$found$one " fresh="$fresh$one " ;; esac
    done
  done
  groups
}

groups() {
  all=' ' whole=''
  for one in $found; do
    look "$one" || continue
    case $all in *" $group "*) ;; *) all="$all$group " ;; esac
  done
  for whose in $all; do
    for one in $(among 1 "$whose"); do
      case $found in *" $one "*) ;; *) continue 2 ;; esac
    done
    whole="$whole $whose"
  done
}

send() { # SIGNAL: to every process found. A group first: it also reaches what is being forked at this instant.
  for one in $whole; do kill "-$1" "-$one"; done 2>/dev/null
  for one in $found; do kill "-$1" "$one"; done 2>/dev/null
  return 0
}

strike() { # to the groups that the job's scripts began in, which the system reaches whole. A process that hands on to its
  # successor and leaves can be missed by whoever reads the table of processes, however often; not by this.
  for one in $leaders; do kill -KILL "-$one"; done 2>/dev/null
  return 0
}

hunt() { # GRACE PATIENCE: ask every process of the run to end and kill what does not; fails when some stays
  family
  if [ "$found" = ' ' ]; then
    strike
    return
  fi
  send TERM
  send CONT
  clock
  kill_at=$((now + $1)) give_up=$((now + $1 + $2))
  while nap; family; [ "$found" != ' ' ]; do
    clock
    [ "$now" -lt $kill_at ] || { strike && send KILL; }
    [ "$now" -lt $give_up ] || return 1
  done
  strike
}

