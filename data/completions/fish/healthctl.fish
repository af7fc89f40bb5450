# fish completion for healthctl; made by: healthctl completions fish
function __healthctl_complete
    set -l words (commandline -opc)
    set -lx HEALTHCTL_WORDS (string join \n -- $words[2..-1] | string collect)
    set -lx HEALTHCTL_WORD (string unescape -- (commandline -ct))
    set -lx _HEALTHCTL_COMPLETE fish_complete
    for line in ($words[1] 2>/dev/null)
        set -l parts (string split -m 2 \t -- $line)
        switch $parts[1]
            case plain
                string join \t -- $parts[2..-1]
            case file
                __fish_complete_path $HEALTHCTL_WORD
            case dir
                __fish_complete_directories $HEALTHCTL_WORD
        end
    end
end
complete -c healthctl -f -a "(__healthctl_complete)"
