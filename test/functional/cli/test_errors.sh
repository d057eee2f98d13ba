#!/bin/sh
# What the user got wrong: one line that says what, and the code.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"

refused() { # TEXT ARG..: wrong usage
	text=$1
	shift
	run neap "$@"
	code_is 2
	err_is "neap: $text
Try 'neap --help'."
	out_is
}

refused '--nosuch: there is no such option' --nosuch
refused '--nosuch: there is no such option' --nosuch=1
refused '-x: there is no such option' -x
refused '-ix: there is no such option' -ix
refused '-e: a value is missing' -e
refused '-l: a value is missing' -i -l
refused '-j: a value is missing' -j
refused '--log-level: a value is missing' --log-level
refused '--interactive takes no value' --interactive=1
refused "--log-level: 'loud' is not one of fatal, syserror, error, crit, warn, info, verbose, debug" \
	--log-level loud
refused "--log-format: 'xml' is not one of plain, json" --log-format=xml
refused "--drain-timeout: 'soon' is not a number of seconds, or a duration such as 500ms or 2m" --drain-timeout soon
refused "--drain-timeout: '-1' is not a number of seconds, or a duration such as 500ms or 2m" --drain-timeout -1
refused "--drain-timeout: '1e999' is not a number of seconds, or a duration such as 500ms or 2m" --drain-timeout=1e999
refused "--drain-timeout: '' is not a number of seconds, or a duration such as 500ms or 2m" --drain-timeout=
for verb in init run console rocks test doc pack; do
	refused "'neap $verb' is not there yet (to run a file of that name: ./$verb)" $verb
done
export NEAP_LOG_LEVEL=loud
run neap -e ''
code_is 2
err_has "NEAP_LOG_LEVEL: 'loud' is not one of"
unset NEAP_LOG_LEVEL

# A file with the name of a verb, by its path.
echo 'print("a file")' > test
run neap ./test
code_is 0
out_is 'a file'

# Scripts that cannot be run.
run neap nosuch.lua
code_is 1
err_is "neap: cannot run 'nosuch.lua': No such file or directory"
run neap .
code_is 1
err_is "neap: cannot run '.': Is a directory"
run neap ./test/below
code_is 1
err_is "neap: cannot run './test/below': Not a directory"
ln -s loop loop
run neap loop
code_is 1
err_is "neap: cannot run 'loop': Too many levels of symbolic links"
if [ "$(id -u)" != 0 ]; then
	echo 'print(1)' > secret.lua
	chmod 0 secret.lua
	run neap secret.lua
	code_is 1
	err_is "neap: cannot run 'secret.lua': Permission denied"
fi
printf 'local x = 1\nx = = 2\n' > bad.lua
run neap bad.lua
code_is 1
err_is "neap: bad.lua:2: unexpected symbol near '='"
run neap -e 'x = = 2'
code_is 1
err_is "neap: (command line):1: unexpected symbol near '='"
run neap -l nosuch
code_is 1
err_has "module 'nosuch' not found:"
run neap -j nosuch -e ''
code_is 1
err_has '-j nosuch: neither a command of the JIT compiler nor a module'
err_is_one_line
# Bytecode cut short, and what only looks like it.
run neap -e 'io.open("ok.luac", "wb"):write(string.dump(function(...) print("bytecode", ...) end)):close()'
run neap ok.luac 1 2
code_is 0
out_is 'bytecode	1	2'
head -c 20 ok.luac > cut.luac
run neap cut.luac
code_is 1
err_has 'cut.luac'
printf '\033LJ\002garbage' > odd.luac
run neap odd.luac
code_is 1
err_has 'odd.luac'
# Directories and lengths beyond reason.
run neap "$(printf 'x%.0s' $(seq 5000))"
code_is 1
err_has 'File name too long'
