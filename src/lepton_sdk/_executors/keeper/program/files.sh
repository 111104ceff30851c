# Whether a run may start, and receiving its files.
# shellcheck shell=sh disable=SC2034,SC2154

cancelled() { # EPOCH: whether the run was cancelled by this epoch or a newer one
  for file in "$run"/cancel/*; do
    [ "${file##*/}" -ge "$1" ] 2>/dev/null && return 0
  done
  return 1
}

fence() { # EPOCH: raise the fence to it; sets newest
  newest=$1
  printf '' >"$run/fence/$1" || return 1
  for file in "$run"/fence/*; do
    [ "${file##*/}" -le "$newest" ] || newest=${file##*/}
  done
}

# Makes the folders of the run, with $work, an empty one for the job, if it is set.
open() { # EPOCH: whether the run may be started; says why not
  # Both at once: a run must be cancellable on a disk that it has filled, where no folder can be made any more.
  if { [ ! -d "$run/fence" ] || [ ! -d "$run/cancel" ] || [ ! -d "${work:-/}" ]; } &&
    ! said=$(LC_ALL=C mkdir -p "$run/fence" "$run/cancel" ${work:+"$work"} 2>&1); then
    fail "$said"
  elif ! fence "$1"; then
    # A shell's own words for a failed write do not say why; those of touch do.
    fail "$(LC_ALL=C touch "$run/fence/$1" 2>&1)"
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

# A run's tree is made in BASE/in/PLACE/work. For runs to come two things are made of what was sent: BASE/blobs, every
# content by its hash, and BASE/spares/TREE, one tree twice. There "links" holds hard links to blobs and is never given away;
# "tree" is a copy, which the next run takes and makes its own. A name is given to them when they are whole.

need() { # RUN EPOCH PLACE TREE: whether a whole spare of that tree is here; then, of the blobs named on stdin, those that are not
  run=$base/runs/$1 in=$base/in/$3 work='' here=''
  # Nobody has to name anything to a node that has nothing.
  [ -d "$base/blobs" ] || here=nothing
  if open "$2" && equipped && ready "$base/blobs" "$base/spares/.$3" "$in"; then
    say ok
    ! { whole "$4" || awaited "$4"; } || here=spare
    say $here
    say .
    [ "$here" = nothing ] || lacking
  fi
  say .
  # What a client left that died while it sent.
  cd "$base" && find in spares -mindepth 1 -maxdepth 1 -mtime +1 \( -path 'in/*' -o -name '.*' \) -exec rm -rf {} + >/dev/null 2>&1
}

equipped() {
  for tool in tar gzip; do
    command -v $tool >/dev/null || {
      fail "the node has no $tool, which is needed to receive a workdir"
      return 1
    }
  done
}

ready() { # FOLDER...
  said=$(LC_ALL=C mkdir -p "$@" 2>&1) || {
    fail "$said"
    return 1
  }
}

whole() { # TREE: whether its spare was finished since the last boot, for a power cut empties files, and not touched since then
  { read -r made <"$base/spares/$1/whole"; } 2>/dev/null && [ "$made" = "$boot" ] || return
  # A blob changes with every link to it; it is trusted here as it is in its own folder.
  touched=$(cd "$base/spares/$1" && find tree links \( -type d -o -path 'tree/*' \) -cnewer whole 2>&1) && [ -z "$touched" ]
}

awaited() { # TREE: wait for its spare while somebody makes it, for a while; that is sooner there than a tree from the blobs
  clock
  patience=$((now + 500))
  while making "$1" && [ "$now" -lt $patience ]; do
    nap
    clock
  done
  whole "$1"
}

making() { # TREE: whether a process lives that makes its spare
  for file in "$base"/spares/.*/making."$1".*; do
    [ -f "$file" ] || continue
    file=${file##*/making."$1".}
    look "${file%.*}" && [ "$born" = "${file#*.}" ] && return
  done
  return 1
}

lacking() {
  cd "$base/blobs" || return
  set -f
  for name in $(cat); do
    # A file of no length is what a power cut leaves of one that was written just before; the empty file itself is never sent.
    [ -s "$name" ] || say "$name"
  done
  set +f
}

receive() { # PLACE FROM TREE BYTES FILES: the archive on stdin; makes the run's tree of the spare FROM, of nothing, or by the blobs
  in=$base/in/$1 next=$base/spares/.$1 from=$2 tree=$3 size=$(($4 / 1024 + $5 * 4))
  LC_ALL=C
  export LC_ALL
  if ! said=$(begin 2>&1); then
    cat >/dev/null
    sweep "$in" "$next"
    # Of what was to be taken, another run was quicker.
    case $from in - | blobs) fail "$said" ;; *) say gone ;; esac
  elif said=$(build 2>&1); then
    provide &
    say ok
  else
    # First, because a client that is gone ends us with the first word.
    sweep "$in" "$next"
    fail "$said"
  fi
  say .
}

begin() { # of two that would take one spare, one does
  case $from in
    - | blobs) mkdir "$in/work" "$next/work" ;;
    *) mv "$base/spares/$from" "$in/" && mv "$in/$from/tree" "$in/work" && mv "$in/$from/links" "$next/work" ;;
  esac
}

build() { # the run's tree comes first, unless that would write a large thing once more
  if [ "$from" = blobs ]; then
    tar -xpof - -C "$next" && store && cp -RPp "$next/work/." "$in/work/"
  else
    # What is not written down whole is not used again.
    { tee "$next/archive" && printf '' >"$next/archived"; } | tar -xpof - -C "$in" &&
      assemble "$in" -RPp && { [ ! -d "$in/tree" ] || mv "$in/tree" "$next/old"; }
  fi
}

assemble() { # FOLDER FLAGS: what was unpacked there becomes FOLDER/work; FLAGS say how cp takes what is here
  # An archive that was cut off between two files looks whole to tar.
  if [ ! -f "$1/end" ]; then
    say "the archive broke off"
    return 1
  fi
  cd "$1" || return
  [ ! -f gone ] || (cd work && /bin/sh ../gone) || return
  if [ -f links ]; then
    ln -s ../../blobs blobs && gzip -dc <links | tar -xpof - && cp "$2" tree/. work/ || return
  fi
  [ ! -f modes ] || gzip -dc <modes | tar -xpof -
}

store() { # what was unpacked in $next becomes $next/work, and new contents become blobs
  assemble "$next" -RPpfl || return
  [ ! -f fresh ] || {
    gzip -dc <fresh | tar -xpof - && find new -type f -exec sh -c 'mv -f "$@" "$0"' "$base/blobs" {} +
  }
}

provide() { # for the runs that come; gives way to those that are here
  exec </dev/null >/dev/null 2>&1
  read -r one _ </proc/self/stat
  renice -n 10 -p "$one"
  cd "$next" || exit
  [ "$tree" = - ] || { look "$one" && : >"making.$tree.$one.$born"; }
  if [ "$from" = blobs ] || { [ -f archived ] && tar -xpof archive && rm archive && store; }; then
    [ "$tree" = - ] || spare
  fi
  cd / && sweep "$next"
}

spare() {
  # Where find cannot tell what was touched, nobody could trust a spare.
  room && find . -maxdepth 0 -cnewer . && mkdir "$tree" && mv work "$tree/links" && cp -RPp "$tree/links" "$tree/tree" || return
  say "$boot" >"$tree/whole" || return
  few
  # One that cannot be used makes place; beside one that can, this one is not wanted, and mv refuses.
  [ ! -d "$base/spares/$tree" ] || whole "$tree" || mv "$base/spares/$tree" old.spare
  mv "$tree" "$base/spares/"
}

room() { # whether there is twice the room that the tree takes; where nobody knows, there is
  # shellcheck disable=SC2046
  set -- $(df -Pk . | tail -n 1)
  while [ $# -gt 1 ]; do
    # The word before the share that is taken; a file system's name may have spaces.
    case $2 in *%) [ "$1" -gt $((2 * size)) ] && return || return 1 ;; esac
    shift
  done
}

few() { # at most three spares, none of them a week old; taken away whole, so that nobody takes half of one
  find "$base/spares" -mindepth 1 -maxdepth 1 ! -name '.*' -mtime +6 -exec mv {} . \;
  count=0
  # shellcheck disable=SC2012,SC2045
  for old in $(ls -t "$base/spares"); do
    count=$((count + 1))
    [ $count -lt 3 ] || mv "$base/spares/$old" .
  done
}

sweep() { # PATH...: remove folders, also those that may not be written in
  # Files are left as they are: their modes are those of the blobs that they are links to.
  find "$@" -type d ! -perm -700 -exec chmod u+rwx {} \; 2>/dev/null
  rm -rf "$@"
}

# --- outputs ----------------------------------------------------------------------------------------------------------

list() { # RUN: every file and link that the run has, a null after each; then, after an empty name, what is neither; then the end
  LC_ALL=C
  export LC_ALL
  if cd "$base/runs/$1/work"; then
    find . \( -type f -o -type l \) -print0
    printf '\0'
    find . ! -type d ! -type f ! -type l -print0
  else
    printf '\0'
  fi
  printf '\0.\0'
}

pack() { # RUN: names on stdin, a null after each; a tar of them
  cd "$base/runs/$1/work" || return
  LC_ALL=C
  export LC_ALL
  case $(tar --version 2>/dev/null) in
    *GNU*) exec tar -cf - --null --no-recursion -T - ;;
    # Its usual form would write holes as holes.
    *bsdtar*) exec tar --format gnutar -n -cf - --null -T - ;;
    # Of more names than fit on a command line several archives come, one after the other.
    *) exec xargs -0 tar -cf - ;;
  esac
}
