# zsh -f zsh-complete.zsh FOLDER LINE: prints what pressing Tab behind LINE offers, one a line behind "offer:".
# FOLDER holds the completion function _darta.
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -D -u; PS1="
zpty -w shell '
compadd() { local -a offers; builtin compadd -O offers "$@"; print -rl -- "offer:"$^offers; builtin compadd "$@" }
probe() { zle complete-word; exit }
zle -N probe
bindkey "^I" probe
print ready:$((40 + 2))'
zpty -r shell output '*ready:42*'
zpty -w -n shell "$2"$'\t'
output=
while zpty -r shell more; do output+=$more; done
print -r -- "$output"
