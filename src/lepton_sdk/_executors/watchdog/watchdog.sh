# Powers a rented machine off when nobody gives it back. Holds no credentials and asks nobody.
#
#   sh PROGRAM FOLDER arm KEY=VALUE...  notes the plan and starts the guard, now and (with systemd) at every boot
#   sh PROGRAM FOLDER guard             the process that stays
#
# The machine is powered off when one of these has passed: `boot` before any run began, `limit` after one began, `keep`
# after the last one ended, `budget` in any case. `boot` and `keep` are put off by whoever looks after the machine. Times
# are hundredths of a second, "-" for none; they are counted in uptime and added up over boots, so that neither a clock
# that jumps nor a reboot moves a deadline. FOLDER/runs holds links to the folders of runs, made by those who start them;
# FOLDER/marks what has happened, as names, because a full disk has room for a name.
# shellcheck shell=sh disable=SC2034,SC2154

set -u
umask 022
self=$0
folder=$1
shift
unit=lepton-watchdog.service
# Makes every number one of the same width, so that it can be written over in place.
width=1000000000000000
boot=
{ read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null

arm() { # KEY=VALUE...: the first plan stands, because a vendor may run its start-up script at every boot
  mkdir -p "$folder/marks" "$folder/runs" && chmod 1777 "$folder/runs" || exit
  clock
  if [ ! -f "$folder/plan" ]; then
    printf '%s\n' "armed=$now" "$@" >"$folder/plan.$$" && ln "$folder/plan.$$" "$folder/plan"
    rm -f "$folder/plan.$$"
    [ -f "$folder/plan" ] || exit
    sync
  fi
  # A machine that boots here starts its services only; a test's folder must not become one.
  if [ -d /run/systemd/system ] && [ "$folder" = /var/lib/lepton/watchdog ]; then
    service
  elif ! guarded; then
    setsid=$(command -v setsid)
    # shellcheck disable=SC2086
    $setsid /bin/sh "$self" "$folder" guard </dev/null >/dev/null 2>&1 &
  fi
  # Who arms it twice at once must not start two.
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    ! guarded || break
    sleep 0.2 2>/dev/null || sleep 1
  done
}

service() {
  printf '%s\n' '[Unit]' 'Description=Powers this rented machine off when nobody gives it back' '[Service]' \
    "ExecStart=/bin/sh $self $folder guard" Restart=always RestartSec=1 '[Install]' WantedBy=multi-user.target \
    >"/etc/systemd/system/$unit"
  systemctl daemon-reload
  systemctl enable --now "$unit"
}

stands() { # sets what the guard noted last; fails when there is no such note, or half of one
  guard_born=
  { read -r seen_boot seen_up seen_age _ _ guard guard_born <"$folder/state"; } 2>/dev/null
  [ -n "$guard_born" ] || return 1
  case $seen_up$seen_age$guard in *[!0-9]*) return 1 ;; esac
}

guarded() { # whether a guard lives
  stands && [ "$seen_boot" = "$boot" ] && look "$guard" && [ "$born" = "$guard_born" ]
}

plan() { # sets what was planned
  armed=0 age=- boot_limit=90000 limit=- budget=- keep=90000 tick=500 power_off=-
  while IFS='=' read -r key value; do
    case $key in
      armed) armed=$value ;;
      boot) boot_limit=$value ;;
      limit) limit=$value ;;
      budget) budget=$value ;;
      keep) keep=$value ;;
      tick) tick=$value ;;
      age) age=$value ;;
      power_off) power_off=$value ;;
    esac
  done <"$folder/plan"
}

recollect() { # sets past: what is to be added to the uptime of this boot
  if stands; then
    past=$((seen_age - seen_up))
    # Of the time before a reboot the end may not have reached the disk: it counts as a whole minute of ticks.
    [ "$seen_boot" = "$boot" ] || past=$((seen_age - width + 12 * tick))
  elif [ "$age" = - ]; then
    # Armed by its vendor: the machine is as old as its first boot.
    past=0
  else
    past=$((age - armed))
  fi
}

# --- what has happened ------------------------------------------------------------------------------------------------

mark() { # NAME: it happened now; the newest mark of a name counts
  printf '' >"$folder/marks/$1.$lived" || return
  for file in "$folder/marks/$1".*; do
    [ "$file" = "$folder/marks/$1.$lived" ] || rm -f "$file"
  done
}

marked() { # NAME: sets at; fails when it never happened
  at=
  for file in "$folder/marks/$1".*; do
    [ ! -e "$file" ] || at=${file##*.}
  done
  [ -n "$at" ]
}

see() { # sets phase
  phase=waiting
  for run in "$folder"/runs/*; do
    [ -d "$run" ] || continue
    phase=keeping
    if [ ! -f "$run/status" ] && recall && kept; then
      phase=running
      break
    fi
  done
  case $phase in
    running)
      marked begun || mark begun
      rm -f "$folder"/marks/ended.*
      ;;
    keeping) marked ended || mark ended ;;
  esac
  if [ -e "$folder/runs/.visited" ]; then
    rm -f "$folder/runs/.visited"
    mark visited
  fi
}

judge() { # sets deadline: an age, or nothing
  deadline=
  case $phase in
    waiting) deadline=$boot_limit ;;
    running) [ "$limit" = - ] || ! marked begun || deadline=$((at + limit)) ;;
    keeping) ! marked ended || deadline=$((at + keep)) ;;
  esac
  if [ "$phase" != running ] && marked visited && [ $((at + keep)) -gt "$deadline" ]; then
    deadline=$((at + keep))
  fi
  if [ "$budget" != - ] && [ "$budget" -lt "${deadline:-$width}" ]; then
    deadline=$budget
  fi
}

note() { # how it stands: in place, so that a reader never sees half of it and a full disk has room for it
  echo "$boot $((width + now)) $((width + lived)) $phase $((width + ${deadline:-0})) $$ $self_born" 1<>"$folder/state"
}

# --- the guard --------------------------------------------------------------------------------------------------------

guard() {
  trap '' HUP
  look $$
  self_born=$born
  plan
  recollect
  while :; do
    clock
    lived=$((past + now))
    see
    judge
    note
    if [ -n "$deadline" ] && [ $lived -ge "$deadline" ]; then
      leave
    else
      doze
    fi
  done
}

doze() {
  part=$((100 + tick % 100))
  sleep "$((tick / 100)).${part#1}" 2>/dev/null || sleep 1
}

leave() { # each way is given a while; a machine that is still there then is asked in a ruder one, again and again
  phase=leaving
  note
  sync
  for way in 'systemctl poweroff' poweroff 'poweroff -f' 'echo o >/proc/sysrq-trigger'; do
    [ "$power_off" = - ] || way=$power_off
    sh -c "$way"
    for _ in 1 2 3 4 5 6; do
      clock
      lived=$((past + now))
      note
      doze
    done
  done
}
