# prometheus: 200 queries of a server that has nothing but what queries make.
printf 'global: {scrape_interval: 1h}\n' >prometheus.yml
"$BIN" --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address="127.0.0.1:$PORT" >log 2>&1 &
until_it_answers "http://127.0.0.1:$PORT/-/ready"
curl --silent --show-error "http://127.0.0.1:$PORT/api/v1/query?query=vector([1-200])*2>bool+3&time=1700000000" | sha256sum
curl --silent --show-error "http://127.0.0.1:$PORT/api/v1/query_range?query=sum(vector(time()))%2b1&start=1700000000&end=1700001000&step=[1-20]" | sha256sum
curl --silent "http://127.0.0.1:$PORT/api/v1/query?query=sum("
echo
kill "$!"
wait "$!"
echo "ended $?"
