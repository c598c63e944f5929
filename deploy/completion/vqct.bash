# bash completion of vqct. What there is to complete comes from the program's own --help.

# The commands that a --help lists.
_vqct_commands() {
  "$@" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'
}

_vqct_options() {
  "$@" --help 2>/dev/null | sed -n 's/^ *\(-[a-z], \)\{0,1\}\(--[a-z-]*\).*/\2/p'
}

_vqct() {
  local word=${COMP_WORDS[COMP_CWORD]} command=("${COMP_WORDS[0]}") i words
  for ((i = 1; i < COMP_CWORD && i < 3; i++)); do
    _vqct_commands "${command[@]}" | grep -qx -- "${COMP_WORDS[i]}" || break
    command+=("${COMP_WORDS[i]}")
  done
  if [[ $word == -* ]]; then
    words=$(_vqct_options "${command[@]}")
    ((${#command[@]} > 1)) || words="--help --version"
  elif ((${#command[@]} == COMP_CWORD)); then
    words=$(_vqct_commands "${command[@]}")
  fi
  # Without a match readline goes on with file names.
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o bashdefault -o default -F _vqct vqct
