"""How a shell learns what may come next: its script, and the answers to what that asks.

A shell asks by running `_HEALTHCTL_COMPLETE=bash_complete healthctl`, with the line in other variables; click finds out
what may stand there. The answer is read line by line, so that names with blanks, colons and quotes come through.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem, ShellComplete

from healthctl import terminal

BASH = r"""# bash completion for healthctl; made by: healthctl completions bash
_healthctl() {
    local kind value
    COMPREPLY=()
    while IFS=$'\t' read -r kind value; do
        case $kind in
            plain) COMPREPLY+=("$value") ;;
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
        esac
    done < <(HEALTHCTL_LINE=${COMP_LINE:0:COMP_POINT} HEALTHCTL_BREAKS=$COMP_WORDBREAKS \
        _HEALTHCTL_COMPLETE=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F _healthctl healthctl
"""
ZSH = r"""#compdef healthctl
# zsh completion for healthctl; made by: healthctl completions zsh
_healthctl() {
    local kind value help
    local -a values shown
    while IFS=$'\t' read -r kind value help; do
        case $kind in
            plain)
                values+=("$value")
                shown+=("$value${help:+  -- $help}") ;;
            file) _files ;;
            dir) _files -/ ;;
        esac
    done < <(HEALTHCTL_WORDS=${(F)${(@Q)words[2,CURRENT-1]}} HEALTHCTL_WORD=${(Q)PREFIX} \
        _HEALTHCTL_COMPLETE=zsh_complete ${(Q)words[1]} 2>/dev/null)
    (( $#values )) && compadd -l -V healthctl -d shown -a values
}
if [[ $funcstack[1] == _healthctl ]]; then
    _healthctl "$@"
else
    compdef _healthctl healthctl
fi
"""
FISH = r"""# fish completion for healthctl; made by: healthctl completions fish
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
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}

# The words of a line as a shell takes them, the last of which may be quoted and not ended, and what is between them.
_PARTS = re.compile(r"""\s+|(?:[^\s"'\\]|\\.?|"(?:[^"\\]|\\.?)*"?|'[^']*'?)+""")
_SPECIAL = re.compile(r"[^\w@%+=:,./-]")


def answer(command: click.Command, asked: str) -> int:
    """Write what may come next, and return the exit code; `asked` is `bash_complete`, or another shell's.

    `bash_source` asks for the script, as with other programs that click makes.
    """
    shell, _, what = asked.partition("_")
    if shell not in SCRIPTS:
        return 1
    if what == "source":
        terminal.write([SCRIPTS[shell].rstrip("\n")])
        return 0
    if shell == "bash":
        words, word = _line(os.environ.get("HEALTHCTL_LINE", ""))
        found = _found(command, words[1:], _unquoted(word))
        terminal.write(_for_bash(found, word, os.environ.get("HEALTHCTL_BREAKS", "")))
    else:
        words = os.environ.get("HEALTHCTL_WORDS", "").splitlines()
        found = _found(command, words, os.environ.get("HEALTHCTL_WORD", ""))
        terminal.write("\t".join([item.type, item.value, *([item.help] if item.help else [])]) for item in found)
    return 0


def _found(command: click.Command, words: list[str], word: str) -> list[CompletionItem]:
    """Return what may stand in the place of a word that comes after others, as far as a line can hold it."""
    found: list[Any] = ShellComplete(command, {}, "healthctl", "").get_completions(words, word)
    # click leaves the option out of what it finds, and the shell does not.
    option = f"{word.partition('=')[0]}=" if re.match("--[^=]+=", word) else ""
    return [
        CompletionItem(f"{option}{item.value}", item.type, item.help) for item in found if str(item.value).isprintable()
    ]


def _line(line: str) -> tuple[list[str], str]:
    """Return the words of a line, and the last one, which is being typed, as it stands there."""
    parts = _PARTS.findall(line)
    word = parts.pop() if parts and not parts[-1].isspace() else ""
    return [_unquoted(part) for part in parts if not part.isspace()], word


def _unquoted(word: str) -> str:
    """Return what a word means that may be quoted, and need not be at its end yet."""
    return re.sub(r"""\\(.)|["'\\]""", lambda found: found[1] or "", word)


def _for_bash(found: list[CompletionItem], word: str, breaks: str) -> Iterator[str]:
    """Yield lines for bash, which replaces what comes after the last character at which it divides words.

    Of these @ is replaced too (rl_special_prefixes in readline(3)).
    """
    is_quoted = word[:1] in ("'", '"')
    places = [place for place, char in enumerate(word) if char in breaks and word[place - 1 : place] != "\\"]
    kept = "" if is_quoted or not places else _unquoted(word[: places[-1] + 1]).removesuffix("@")
    for item in found:
        value = str(item.value).removeprefix(kept)
        yield f"{item.type}\t{value if is_quoted else _SPECIAL.sub(lambda char: f'{chr(92)}{char[0]}', value)}"
