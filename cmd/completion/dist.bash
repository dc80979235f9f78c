# Completion of dist for bash 3.2 and later, from `dist completion bash`. All that
# is known of dist is asked of dist itself: the one on the PATH, for Tab is not to
# run what lies in a folder.
_dist() {
	local line=${COMP_LINE-} known= rest piece gap last= kind= tail= candidate option i
	local -a words=()
	[[ -n ${COMP_POINT-} ]] && line=${line:0:COMP_POINT}
	[[ -n $line ]] && known=1
	# bash cuts words at : and = and @, as COMP_WORDBREAKS says. They are put together
	# again where the line has no space between them.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		piece=${COMP_WORDS[i]-} gap=
		if [[ -n $known ]]; then
			rest=${line#"${line%%[![:space:]]*}"}
			[[ $rest != "$line" ]] && gap=1
			((i == COMP_CWORD)) && [[ $piece == "$rest"* ]] && piece=$rest # up to the cursor
			if [[ $rest == "$piece"* ]]; then line=${rest#"$piece"}; else known= gap=; fi
		fi
		if ((${#words[@]})) && [[ -z $gap ]] && { [[ -n $piece && -z ${piece//[:=@]/} ]] || [[ -n $last && -z ${last//[:=@]/} ]]; }; then
			words[${#words[@]} - 1]+=$piece
		else
			words[${#words[@]}]=$piece
		fi
		last=$piece
	done
	[[ -z ${piece//[:=@]/} ]] && piece= # what stands before the cursor stays

	COMPREPLY=()
	while IFS= read -r candidate; do
		if [[ -z $kind ]]; then
			kind=${candidate%% *}
		else
			COMPREPLY[${#COMPREPLY[@]}]=$candidate
		fi
	done < <(command dist __complete bash "$piece" -- "${words[@]:1}" 2>/dev/null)

	case $kind in
		files) option=-f ;;
		dirs) option=-d ;;
		*)
			compopt +o default +o dirnames 2>/dev/null
			option=
			;;
	esac
	if [[ -n $option ]] && ((${#COMPREPLY[@]})); then
		while IFS= read -r candidate; do
			tail=
			[[ -d $candidate ]] && tail=/
			printf -v candidate '%q' "$candidate$tail"
			COMPREPLY[${#COMPREPLY[@]}]=$candidate
		done < <(compgen "$option" -- "$piece")
	elif [[ $option == -d ]]; then
		compopt +o default -o dirnames 2>/dev/null
	fi
	if ((${#COMPREPLY[@]} == 1)); then
		case ${COMPREPLY[0]} in *[:=@/]) compopt -o nospace 2>/dev/null ;; esac
	fi
}
complete -o default -F _dist dist
