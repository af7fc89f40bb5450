# The bash prompt: what is wrong stands before it, and nothing while all is well or healthd does not run.
#
#   echo ". /usr/share/doc/healthd/examples/panels/prompt.bash" >> ~/.bashrc

_health() {
    local line
    line=$(healthctl status --short 2>/dev/null) || printf '%s' "${line:+[$line] }"
}
PS1='$(_health)'$PS1
