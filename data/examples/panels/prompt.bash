# The bash prompt: what is wrong stands before it, and nothing while all is well or healthd does not run.
#
#   echo ". /usr/share/doc/healthd/examples/panels/prompt.bash" >> ~/.bashrc

_health() {
    # What $? is in the rest of the prompt is still the code of your own command.
    local code=$? line
    line=$(healthctl status --short 2>/dev/null) || printf '%s' "${line:+[$line] }"
    return $code
}
PS1='$(_health)'$PS1
