#!/bin/sh
# What neap check says of the files that a configuration names: certificates, keys,
# authorities, folders, files; and which maps are read, from where, and when again.
#
# test: timeout 60
. "$NEAP_SOURCE_DIR/test/lib/cli.sh"
unset PORT NEAP_LISTEN NEAP_WORKERS
sh "$NEAP_SOURCE_DIR/test/lib/certs.sh" "$PWD/certs"
mkdir public
echo hello > public/hello

cat > server.yaml <<'END'
workers: 2
console: [{address: 'unix:c', tls: {cert_file: certs/server.pem, key_file: certs/server.key, ca_file: certs/ca.pem, verify: required}}]
listeners:
- address: 'unix:s'
  tls:
    cert_file: certs/server.pem
    key_file: certs/server.key
    sni: {other.test: {cert_file: certs/other.pem, key_file: certs/other.key}}
  static: {/: public}
  rules:
  - static: public
    if: path begins /p
  - return: {file: public/hello}
END
run neap check server.yaml
code_is 0
out_is 'server.yaml: OK'

cat > server.yaml <<'END'
console: [{address: 'unix:c', tls: {cert_file: certs/server.pem, key_file: certs/server.key, ca_file: server.yaml, verify: required}}]
listeners:
- address: 'unix:s'
  tls:
    cert_file: certs/server.pem
    key_file: certs/other.key
    sni: {other.test: {cert_file: certs/nobody.pem, key_file: certs/other.key}}
- address: 'unix:t'
  tls: {cert_file: server.yaml}
- address: 'unix:u'
  tls: {cert_file: certs/server.pem, key_file: certs/server.key, ciphers: none-of-them}
  static: {/: nowhere}
  rules:
  - static: public/hello
  - return: {file: public}
END
run neap check server.yaml
code_is 1
err_has "server.yaml:1:103: tls: the file of authorities '$PWD/server.yaml' is not usable"
err_has "server.yaml:6:15: tls: the private key '$PWD/certs/other.key' is not usable"
err_has 'it is not the key of the certificate in cert_file'
err_has "server.yaml:7:35: tls: cannot read the certificate file '$PWD/certs/nobody.pem'"
err_has "server.yaml:9:20: tls: the certificate file '$PWD/server.yaml' is not usable"
err_has 'server.yaml:11:75: tls: ciphers'
err_has "server.yaml:12:15: folder: '$PWD/nowhere': No such file or directory"
err_has "server.yaml:14:13: folder: '$PWD/public/hello' is no folder"
err_has "server.yaml:15:20: file: '$PWD/public' is a folder"
[ "$(printf '%s\n' "$err" | wc -l)" = 8 ] || fail 'eight lines wanted'
[ ! -e s ] && [ ! -e c ] || fail 'a check opens nothing'

# What might never end, or come, is not read: the check tells it by its place.
mkfifo pipe
refused() { # TEXT of standard error, CONFIGURATION
	printf '%s\n' "$2" > server.yaml
	run neap check server.yaml
	code_is 1
	err_is "server.yaml:$1"
}
rules="listeners: [{address: 'unix:s', rules: ["
refused "1:7: cannot run '$PWD/pipe': it is no regular file" 'load: pipe'
refused "2:26: cannot run '$PWD/none.lua': No such file or directory" "workers: 2
load_per_thread: [{file: none.lua}]"
for file in pipe /dev/zero; do
	refused "1:50: '%[path,map($file)]': map(file, [default]): '$file' is no regular file" \
		"$rules{return: {body: '%[path,map($file)]'}}]}]"
	refused "1:57: '{ path -f $file }': the file '$file': '$file' is no regular file" \
		"$rules{deny: 403, if: '{ path -f $file }'}]}]"
done
refused "1:57: file: '$PWD/pipe' is no regular file" "$rules{return: {file: pipe}}]}]"
refused "1:46: console[0].password_file: cannot read '$PWD/pipe': it is a pipe" \
	"console: [{address: 'unix:c', password_file: pipe}]"
for name in cert_file key_file ca_file; do
	refused "1:$((39 + ${#name})): tls: '$PWD/pipe' is a pipe: a file is wanted" \
		"console: [{address: 'unix:c', tls: {$name: pipe, $(
			for other in cert_file:server.pem key_file:server.key; do
				[ "${other%:*}" = "$name" ] || echo "${other%:*}: certs/${other#*:}, "
			done)verify: none}}]"
done

# Maps: beside the file, wherever the process works; read again at a reload.
mkdir elsewhere
echo 'a first' > names.map
cat > server.yaml <<'END'
listeners:
- address: 'unix:s'
  rules: [{return: {body: '%[path,map(names.map,none)]'}}]
END
sed -i 's|path,map|path,regsub(^/,),map|' server.yaml
(cd elsewhere && exec "$NEAP_BIN" ../server.yaml > ../out.txt 2> ../err.txt) &
server=$!
trap 'kill -s KILL "$server" 2> /dev/null || true' EXIT
answers() { # BODY
	run neap -e "local r = require('http.client').get('http://localhost/a',
		{ unix_socket = 's' }) print(r and r.body) os.exit(0)"
	[ "$out" = "$1
" ]
}
eventually answers first
echo 'a second' > names.map
kill -s HUP $server
eventually answers second
rm names.map
kill -s HUP $server
eventually has_line err.txt "cannot open the map or ACL 'names.map'"
eventually has_line err.txt 'generation 3 serves'
answers second || fail 'it does not stay as it was'
kill -s TERM $server
code=0
wait $server || code=$?
trap - EXIT
code_is 0

# Where something is to listen, for whom, and what a static folder is under: told before a start
# finds it out.
mkdir -p deep
cat > server.yaml <<'END'
log: {file: none/x.log}
console:
- {address: 'unix:none/c', owner: nobody-here, group: '0'}
- {address: 'unix:deep/c', owner: '0', group: nobody-here}
listeners:
- address: ['no.such.host:80', '127.0.0.1:1', '*:2', 'localhost:3', '[::1]:4', '[::1%lo]:5', '999.1.1.1:6']
  static: {assets: public}
- address: 'unix:none/s'
- address: ['unix:@abstract', 'unix:deep/s', '[::x]:7']
  static: {/a//b: public}
  rules: [{return: {body: x, file: public/hello}}]
END
run neap check server.yaml
code_is 1
wanted="server.yaml:1:13: log.file: the folder '$PWD/none': No such file or directory
server.yaml:3:13: console: the folder '$PWD/none': No such file or directory
server.yaml:3:35: console: owner: there is no user 'nobody-here'
server.yaml:4:47: console: group: there is no group 'nobody-here'
server.yaml:6:13: address: HOST is an address, 'localhost' or '*', not 'no.such.host'
server.yaml:6:94: address: HOST is an address, 'localhost' or '*', not '999.1.1.1'
server.yaml:8:12: address: the folder '$PWD/none': No such file or directory
server.yaml:9:46: address: HOST is an address, 'localhost' or '*', not '::x'
server.yaml:7:20: static: a path such as /assets is wanted, not 'assets'
server.yaml:11:20: return: a body or a file, not both
server.yaml:10:19: static: a path such as /assets is wanted, not '/a//b'"
err_is "$wanted"
