#compdef vitalsd
# Completes vitalsd in zsh: vitalsd completion zsh > a folder of fpath, as _vitalsd
_vitalsd() {
    local line
    local -a answer described
    answer=("${(@f)$(${(Q)words[1]} completion answer "${(@)${(@Q)words[2,CURRENT]}/#/+}" 2>/dev/null)}")
    case $answer[1] in
        files)
            compset -P '--*='
            _files
            ;;
        folders)
            compset -P '--*='
            _files -/
            ;;
        program)
            while [[ $words[1] != -- ]]; do
                shift words
                ((CURRENT--))
            done
            shift words
            ((CURRENT--))
            _normal
            ;;
        *)
            for line in "${(@)answer[2,-1]}"; do
                described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
            done
            _describe -t vitalsd vitalsd described
            ;;
    esac
}
if [[ $funcstack[1] == _vitalsd ]]; then
    _vitalsd "$@"
else
    compdef _vitalsd vitalsd
fi
