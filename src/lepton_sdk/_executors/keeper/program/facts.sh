# What the kernel and a run's own files say; the keeper and the watchdog both stand on it.
# shellcheck shell=sh disable=SC2034,SC2154

say() {
  printf '%s\n' "$*"
}

clock() { # sets now: hundredths of a second since boot, suspend included
  read -r up _ </proc/uptime
  now=$((${up%.*} * 100 + 1${up#*.} - 100))
}

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
      # A job that makes its own grace a long one must not outlive its run.
      grace) case $value in '' | *[!0-9]* | ??????*) ;; *) grace=$value ;; esac ;;
      started) started=$value ;;
      epoch) epoch_started=$value ;;
    esac
  done <"$run/start"
}

kept() { # whether the process that claimed the run lives: same boot, same pid, same start time
  [ "$keeper_boot" = "$boot" ] && look "$keeper" && [ "$born" = "$keeper_born" ]
}

