# The files lint looks at; sourced by each check from the top folder.
#
#   lint_files PATTERN..     names that match one of the shell patterns

lint_files() {
	if [ -e .git ] && command -v git > /dev/null; then
		git ls-files --cached --others --exclude-standard
	else
		find . -name 'build*' -prune -o -type f -print | sed 's,^\./,,'
	fi | sort -u | while read -r file; do
		[ -f "$file" ] || continue
		for pattern in "$@"; do
			# shellcheck disable=SC2254
			case $file in
			$pattern) echo "$file"; break ;;
			esac
		done
	done
}
