# Prints what zsh offers for an unfinished command line, one candidate a line.
# Arguments: the directory of the completion functions, the command line, a file where
# compinit keeps from call to call which functions there are.
# zsh completes only on a terminal, so an interactive one gets a pseudoterminal; in it
# compadd, which all candidates pass, writes them to a file.
zmodload zsh/zpty || exit 1
offered=$(mktemp) || exit 1

zpty shell zsh -f -i
zpty -w shell "PROMPT= offered=$offered; fpath=(${(q)1} \$fpath); \
    autoload -U compinit; compinit -u -d ${(q)3}; source ${(q)0:a:h}/record.zsh; print begin''here"
zpty -r shell reply '*beginhere*' # once all of it is in force
zpty -w -n shell "$2"$'\t'
zpty -r shell reply '*endhere*'
zpty -d shell
cat $offered
rm -f $offered
