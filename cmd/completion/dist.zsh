#compdef dist
# Completion of dist for zsh, from `dist completion zsh`. All that is known of dist is
# asked of dist itself: the one on the PATH, for Tab is not to run what lies in a
# folder.
_dist() {
	local -a typed answer values texts open opentexts
	local kind before line value text
	local -i found=1
	(( CURRENT > 2 )) && typed=("${(@Q)words[2,CURRENT-1]}")
	answer=("${(@f)$(command dist __complete zsh "" -- "${typed[@]}" "$PREFIX" 2>/dev/null)}")
	kind=${answer[1]%% *}
	before=${answer[1]#"$kind"}
	before=${before# }
	for line in "${(@)answer[2,-1]}"; do
		value=${line%%$'\t'*}
		text=
		[[ $line == *$'\t'* ]] && text="  -- ${line#*$'\t'}"
		# After what is not whole no space is set.
		if [[ $value == *[:=@/] ]]; then
			open+=("$value")
			opentexts+=("$value$text")
		else
			values+=("$value")
			texts+=("$value$text")
		fi
	done
	(( $#values )) && compadd -l -d texts -a -- values && found=0
	(( $#open )) && compadd -S "" -l -d opentexts -a -- open && found=0
	case $kind in
		files|dirs)
			[[ -n $before ]] && compset -P "${(b)before}"
			if [[ $kind == dirs ]]; then
				_files -/ && found=0
			else
				_files && found=0
			fi
			;;
	esac
	return found
}
# As a file of $fpath this is the body of _dist; else it is sourced.
if [[ $funcstack[1] == _dist ]]; then
	_dist "$@"
else
	compdef _dist dist
fi
