# shfmt: formats 3000 lines, and refuses a script with a mistake.
for n in $(seq 1000); do
    printf 'if [ $x = %d ]; then\necho "a$((x+%d))" | sed -e s/a/b/ >/dev/null; fi\nf%d() { local a=${b:-%d}; }\n' "$n" "$n" "$n" "$n"
done >script.sh
"$BIN" -i 2 -ci script.sh | sha256sum
"$BIN" -mn script.sh | sha256sum
echo 'if true; then' | "$BIN"
echo "wrong $?"
