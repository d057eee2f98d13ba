#!/bin/sh
# What the values of rules must be: `neap check` tells all that is wrong, each by its
# place, and what YAML has beyond values is refused.
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS

wrong() { # MESSAGE..: of server.yaml
	run neap check server.yaml
	code_is 1
	want=
	for text; do want="$want${want:+
}server.yaml:$text"; done
	err_is "$want"
}

cat > server.yaml <<'END'
listeners:
- address: unix:s
  rules:
  - set-header: {"x y": a}
  - set-header: {x: "a\r\nb: c"}
  - add-header: {x: "a\0"}
  - del-header: "a b"
  - return: {status: 200, headers: {"x:": a}}
  - return: {status: 200, headers: {x: "\x01"}}
  - deny: {status: 403, headers: {x: "a\nb"}}
  - redirect: "/a\r\nb"
  - set-method: "A B"
  - set-path: "/a b"
  - set-query: ""
  - set-uri: ""
  - set-var: {foo: path}
  - set-var: {"txn.a b": path}
  - unset-var: nope
  - {stop: true, if: src in ::1/129}
  - {stop: true, if: "path matches '((('"}
  - {stop: true, if: src in 10.0.0.0/33}
  - {stop: true, if: src in 300.1.1.1}
  - use-service: lua.none
  response_rules:
  - set-header: {x: "a\x7f"}
  - set-header: {x: "a\tb"}
END
sed -i '/x: "a.0"/d' server.yaml # which YAML refuses
variable='a name is proc, sess, txn, req or res, a dot, and letters, digits and underscores'
net='an address or a network as 10.0.0.0/8 is expected'
wrong '4:17: "x y" is no name of a header field' \
	"5:17: header field 'x': the value has a control character" \
	'6:17: "a b" is no name of a header field' \
	'7:13: "x:" is no name of a header field' \
	"8:13: header field 'x': the value has a control character" \
	"9:11: header field 'x': the value has a control character" \
	"10:15: header field 'location': the value has a control character" \
	'11:17: method: a text without spaces and control characters is wanted' \
	'12:15: path: a text without spaces and control characters is wanted' \
	'14:14: uri: a text without spaces and control characters is wanted' \
	"15:14: variable 'foo': $variable" \
	"16:14: variable 'txn.a b': $variable" \
	"17:16: variable 'nope': $variable" \
	"18:22: 'src in ::1/129': $net, not '::1/129'" \
	"19:22: 'path matches '((('': regular expression: missing closing parenthesis (at byte 4)" \
	"20:22: 'src in 10.0.0.0/33': $net, not '10.0.0.0/33'" \
	"21:22: 'src in 300.1.1.1': $net, not '300.1.1.1'" \
	"22:18: service: no script has registered service 'none'" \
	"24:17: header field 'x': the value has a control character"

# Twenty are told, and no more.
{
	echo 'listeners:'
	echo '- address: unix:s'
	echo '  rules:'
	for i in $(seq 30); do echo '  - set-method: "A B"'; done
} > server.yaml
run neap check server.yaml
code_is 1
err_counts 'method: a text' 20

# Of what is too long, or too deep.
rule() { # CONDITION
	printf 'listeners:\n- address: unix:s\n  rules:\n  - {stop: true, if: "%s"}\n' "$1" > server.yaml
}
many() { # TEXT COUNT
	printf "%${2}s" '' | sed "s|.|$1|g"
}
rule "$(many 'path == /a or ' 5000)path"
run neap check server.yaml
code_is 1
err_has 'a condition: at most 16384 bytes are wanted'
rule "$(many '(' 7000)path$(many ')' 7000)"
run neap check server.yaml
code_is 1
err_has 'server.yaml:4:22: '
rule "$(many 'not ' 4000)path"
run neap check server.yaml
case $code in 0 | 1) ;; *) fail 'neither right nor wrong' ;; esac
rule "path$(many ',lower' 2000)"
run neap check server.yaml
case $code in 0 | 1) ;; *) fail 'neither right nor wrong' ;; esac

long=$(many x 120)
echo "listeners: [{address: 'unix:/tmp/$long'}]" > server.yaml
run neap check server.yaml
code_is 1
err_has 'server.yaml:1:23: listeners[0].address[0]: expected the path of a socket of at most 107 bytes'

# Tags tell nothing here.
for tag in '!!python/object' '!!binary' '!mine' '!!set'; do
	echo "drain_timeout: $tag 1" > server.yaml
	run neap check server.yaml
	code_is 1
	err_has 'server.yaml:1:16: there are no tags such as'
done
echo 'workers: !!int 1' > server.yaml
run neap check server.yaml
code_is 0

# What an address cannot be is told by its place when it is tried.
echo "listeners: [{address: '192.0.2.1:8080'}]" > server.yaml
run neap server.yaml
code_is 1
err_has 'server.yaml:1:23: cannot listen on 192.0.2.1:8080'
