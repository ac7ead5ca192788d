# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Completion of rehost(1) for bash.

_rehost_commands="move copy status list cutover pause resume abort verify report
rehearse rollback confirm inspect estimate plan takeover rescue"

# The flags that each command takes.
_rehost_flags() {
	local run="--name --dry-run --quiet --verbose --format --bwlimit
		--downtime --lanes --lane-port --via --overwrite --linger
		--verify --hook-timeout -n -q -v -F -i -J -o -p"

	case $1 in
	move) echo "$run --cutover --freeze --fence --quiesce --rollback" \
		"--activate --deactivate --plan --probe --boot --boot-timeout" \
		"--power-off --power-on --target-power-off --no-rollback" ;;
	copy) echo "$run --plan --clone --as --probe --boot --boot-timeout" ;;
	status) echo "--format --follow -f" ;;
	list | report) echo "--format" ;;
	cutover | pause) echo "--quiet --format -q" ;;
	resume) echo "--quiet --verbose --format --bwlimit --downtime" \
		"--cutover --freeze --probe --boot-timeout -q -v" ;;
	rehearse) echo "--probe --on --boot-timeout --kernel --modules" \
		"--quiet --format -q" ;;
	rollback) echo "--quiet --format --discard-target-writes --power-on" \
		"--target-power-off -q" ;;
	confirm) echo "--quiet --format --power-off -q" ;;
	abort | verify) echo "--quiet --format -q" ;;
	inspect) echo "--format --sample -F -i -J -o -p" ;;
	estimate) echo "--format --sample --downtime --bwlimit --lanes" \
		"--lane-port --via --write --overwrite -F -i -J -o -p" ;;
	plan) echo "--output --clone --as --name --quiet --format --bwlimit" \
		"--downtime --cutover --overwrite --quiesce --rollback" \
		"--hook-timeout --sample --measure" \
		"-o -q -F -i -J -p" ;;
	takeover) echo "--dry-run --watchdog --authorized-keys --quiet" \
		"--format -n -q -F -i -J -o -p" ;;
	rescue) echo "--output --kernel --modules --authorized-keys --host-key" \
		"--address --dns --append --no-media --quiet --format -o -q" ;;
	esac
	echo "--help -h"
}

_rehost() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} words=

	COMPREPLY=()
	# -o is ssh's elsewhere.
	[[ $command != @(rescue|plan) || $prev != -o ]] || prev=--output
	if ((COMP_CWORD == 1)); then
		words="$_rehost_commands --help --version"
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
	fi
	case $prev in
	--format) words="text json" ;;
	--cutover) words="auto wait" ;;
	--via) words="auto direct reverse relay" ;;
	--fence) words="freeze unmounted signature" ;;
	--boot) words="auto kexec firmware" ;;
	--verify) words="quick full" ;;
	--address) words="dhcp" ;;
	-F | -i | --output | --kernel | --modules | --authorized-keys | --host-key)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--quiesce | --rollback | --activate | --deactivate | --power-off | \
		--power-on | --target-power-off)
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		return
		;;
	-J | --on)
		mapfile -t COMPREPLY < <(compgen -A hostname -- "$cur")
		return
		;;
	--name | --bwlimit | --downtime | --lanes | --lane-port | \
		--overwrite | --linger | --hook-timeout | --sample | --dns | \
		--append | --watchdog | --boot-timeout | -o | -p) return ;;
	esac
	if [[ -n $words ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	elif [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_rehost_flags \
			"$command")" -- "$cur")
	elif [[ $command == rescue ]]; then
		mapfile -t COMPREPLY < <(compgen -W build -- "$cur")
	elif [[ $command == move || $command == copy ||
		$command == estimate ]]; then
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	else
		# Names of moves are in the first column.
		words=$("${COMP_WORDS[0]}" list 2>/dev/null | cut -d ' ' -f 1)
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	fi
}

complete -F _rehost rehost
