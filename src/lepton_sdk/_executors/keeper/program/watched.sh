# The watchdog of a rented machine, as those meet it who use the machine. A user's own server has none.
# shellcheck shell=sh disable=SC2034,SC2154

arm() { # the script that installs it on stdin; only the superuser may power a machine off
  if [ "$(id -u)" = 0 ]; then
    said=$(sh 2>&1) || fail "$said"
  else
    said=$(sudo -n sh 2>&1) || fail "$said"
  fi
  say .
}

lives() { # FOLDER: how its watchdog stands, if it lives; starts no process
  clock
  if { read -r noted seen aged phase deadline guard guard_born <"$1/state"; } 2>/dev/null &&
    [ "$noted" = "$boot" ] && [ $((now - seen + lease_base)) -lt 6000 ] && shown "$guard" "$guard_born"; then
    say "armed $((aged - lease_base)) $phase $((deadline - lease_base))"
  fi
}

shown() { # PID BORN: whether that process lives, as far as this user may see processes of others
  [ ! -d /proc/1 ] || { look "$1" && [ "$born" = "$2" ]; }
}

visit() { # FOLDER: somebody looks after this machine
  [ -e "$1/runs/.visited" ] || printf '' 2>/dev/null >"$1/runs/.visited"
}

entrust() { # RUN: without the watchdog's knowing no job begins, because it would end the machine under it
  [ -n "$watchdog" ] || return 0
  said=$(LC_ALL=C ln -sfn "$run" "$watchdog/runs/${1%/*}.${1##*/}" 2>&1) || {
    fail "$said"
    return 1
  }
}

