#!/bin/sh
# `return` with a file: its status and header fields are those of the rule, whether the file
# is small or large, and whatever part of it is asked for.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
. "$NEAP_SOURCE_DIR/test/lib/serve.sh"

echo 'a page' > page.html
head -c 3000000 /dev/zero | tr '\0' x > large.txt
cat > server.yaml <<END
listeners:
- address: 'unix:$TMPDIR/s'
  rules:
  - {return: {file: page.html}, if: path == /plain}
  - {return: {file: page.html, headers: {X-More: 'of %[path]', content-type: text/x-own}}, if: path == /more}
  - {return: {status: 404, file: page.html, headers: {x-more: 'yes'}}, if: path == /small}
  - {return: {status: 503, file: large.txt, headers: {x-more: 'yes'}}, if: path == /large}
  response_rules:
  - {set-header: {x-rule: '%[status] %[req.hdr(range)]'}}
END
serve "$TMPDIR/s" server.yaml
ask() { # TARGET OPTION..
	target=$1
	shift
	run curl -s -i -m 60 --unix-socket "$TMPDIR/s" "$@" "http://h$target"
	out=$(printf '%s' "$out" | tr -d '\r')
}
ask /plain
out_has 'HTTP/1.1 200'
out_has 'a page'
etag=$(printf '%s\n' "$out" | sed -n 's/^etag: //p')
ask /plain -H "If-None-Match: $etag"
out_has 'HTTP/1.1 304'
ask /plain -r 0-0
out_has 'HTTP/1.1 206'
ask /more
out_has 'x-more: of /more'
out_has 'content-type: text/x-own'
ask /small -H "If-None-Match: $etag" -r 0-0
out_has 'HTTP/1.1 404'
out_has 'x-more: yes'
out_has 'x-rule: 404 bytes=0-0'
out_has 'a page'
for option in '-r 0-9' '-I'; do
	ask /large $option
	out_has 'HTTP/1.1 503'
	out_has 'x-more: yes'
	out_has 'x-rule: 503'
	out_has 'ontent-'
	printf '%s\n' "$out" | grep -qi '^content-length: 3000000' || fail 'the whole file wanted'
done
end_server

echo "listeners: [{address: 'unix:s', rules: [{return: 101}, {deny: 199}]}]" > server.yaml
run neap check server.yaml
code_is 1
err_counts 'expected a whole number from 200 to 599' 2
