# Completes vitalsd in fish: vitalsd completion fish > ~/.config/fish/completions/vitalsd.fish
function __vitalsd_complete
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l begun (commandline -ct)
    set -l answer ($program completion answer +$words +"$begun" 2>/dev/null)
    switch "$answer[1]"
        case files
            __vitalsd_places $begun __fish_complete_path
        case folders
            __vitalsd_places $begun __fish_complete_directories
        case program
            set -l from (contains -i -- -- $words)
            set -e words[1..$from]
            complete -C "$words $begun"
        case '*'
            printf '%s\n' $answer[2..-1]
    end
end

# The value of `--option=value` is completed as a word of its own.
function __vitalsd_places
    set -l parts (string split -m 1 = -- "$argv[1]")
    if set -q parts[2]; and string match -q -- '-*' $parts[1]
        for place in ($argv[2] "$parts[2]")
            echo $parts[1]=$place
        end
    else
        $argv[2] "$argv[1]"
    end
end

complete -c vitalsd -f -a '(__vitalsd_complete)'
