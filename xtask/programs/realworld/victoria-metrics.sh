# victoria-metrics: takes 2000 samples in, and gives them back.
for n in $(seq 2000); do echo "sample{series=\"$((n % 20))\"} $n $((1700000000000 + n * 1000))"; done >samples
"$BIN" -httpListenAddr="127.0.0.1:$PORT" -storageDataPath=data -retentionPeriod=100y >log 2>&1 &
until_it_answers "http://127.0.0.1:$PORT/health"
curl --silent --show-error --data-binary @samples "http://127.0.0.1:$PORT/api/v1/import/prometheus"
curl --silent --show-error --output /dev/null "http://127.0.0.1:$PORT/internal/force_flush"
curl --silent --show-error "http://127.0.0.1:$PORT/api/v1/export?match=sample" | sort | sha256sum
curl --silent --show-error "http://127.0.0.1:$PORT/api/v1/query?query=sum(sample)&time=17000019[10-60]" | sed 's/"stats":{[^}]*}//g' | sha256sum
kill "$!"
wait "$!"
echo "ended $?"
