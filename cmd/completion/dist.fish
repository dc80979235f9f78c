# Completion of dist for fish, from `dist completion fish`. All that is known of dist is
# asked of dist itself: the one on the PATH, for Tab is not to run what lies in a
# folder.
function __dist_complete
    set -l word (commandline -ct)
    set -l typed (commandline -opc)
    set -l answer (command dist __complete fish "" -- $typed[2..-1] "$word" 2>/dev/null)
    set -q answer[1]
    or return
    set -l how (string split -m 1 " " -- $answer[1])
    set -q answer[2]
    and printf '%s\n' $answer[2..-1]
    string match -qr '^(files|dirs)$' -- $how[1]
    or return
    # The files are those that fish finds for a command that it does not know.
    set -l before ""
    set -q how[2]
    and set before $how[2]
    set -l rest (string replace -- "$before" "" "$word")
    set -l found (complete -C "__dist_no_such_command $rest")
    test $how[1] = dirs
    and set found (string match -r '^[^\t]*/(?:\t.*)?$' -- $found)
    set -q found[1]
    and printf '%s\n' $before$found
end
complete -c dist -f -a "(__dist_complete)"
