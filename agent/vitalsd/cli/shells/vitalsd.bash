# Completes vitalsd in bash: eval "$(vitalsd completion bash)"
_vitalsd() {
    local index word prefix cur=${COMP_WORDS[COMP_CWORD]} kind="" rest=0 line
    local -a words=()
    # Readline ends a word at = and at :, and `--config=FILE` and `127.0.0.1:18781` are one to us.
    for ((index = 1; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if ((${#words[@]})) && [[ $word == [=:]* || ${COMP_WORDS[index - 1]} == [=:] ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
            [[ $word == -- && $rest == 0 ]] && rest=$((index + 1))
        fi
    done
    [[ $cur == [=:] ]] && cur=""
    word=${words[${#words[@]} - 1]}
    prefix=${word%"$cur"}
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -z $kind ]]; then
            kind=$line
        else
            line=${line%%$'\t'*}
            COMPREPLY+=("${line#"$prefix"}")
        fi
    done < <("$1" completion answer "${words[@]/#/+}" 2>/dev/null)
    case $kind in
        files)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        folders)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            ;;
        program)
            if declare -F _command_offset >/dev/null; then
                _command_offset "$rest"
            elif ((COMP_CWORD == rest)); then
                mapfile -t COMPREPLY < <(compgen -c -- "$cur")
            else
                compopt -o filenames 2>/dev/null
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            fi
            ;;
    esac
}
complete -F _vitalsd vitalsd
