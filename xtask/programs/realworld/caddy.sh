# caddy: serves files, some of them compressed.
mkdir root
for n in $(seq 50); do seq "$n" 500 >"root/$n.txt"; done
export XDG_DATA_HOME="$PWD" XDG_CONFIG_HOME="$PWD"
printf '{\n\tadmin off\n\tauto_https off\n}\nhttp://127.0.0.1:%s {\n\troot * root\n\tencode gzip\n\tfile_server browse\n\theader -Last-Modified\n}\n' "$PORT" >Caddyfile
"$BIN" run --config Caddyfile --adapter caddyfile >log 2>&1 &
until_it_answers "http://127.0.0.1:$PORT/1.txt"
curl --silent --show-error "http://127.0.0.1:$PORT/[1-50].txt" | sha256sum
curl --silent --show-error --compressed "http://127.0.0.1:$PORT/[1-50].txt" | sha256sum
curl --silent --output /dev/null --write-out '%{http_code}\n' "http://127.0.0.1:$PORT/absent"
kill "$!"
wait "$!"
echo "ended $?"
