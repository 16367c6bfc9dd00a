# bbolt: writes a database, and looks at it in several ways.
"$BIN" bench --path bench.db --work --count 2000 --batch-size 500 --write-mode seq >/dev/null 2>&1
echo "bench $?"
"$BIN" check bench.db
"$BIN" buckets bench.db
"$BIN" stats bench.db
"$BIN" pages bench.db | sha256sum
"$BIN" keys bench.db bench | sha256sum
"$BIN" check absent.db >/dev/null 2>&1
echo "absent $?"
