# minify: style sheets and pages.
for n in $(seq 2000); do
    printf '.class%d > a:hover , #id%d { color : #ff0000 ; margin : 0px 0px 0px %dpx }\n' "$n" "$n" "$n"
done >style.css
for n in $(seq 500); do
    printf '<p class = "a">  Some   <b> text </b>\n <!-- comment %d --> </p>\n' "$n"
done >page.html
"$BIN" style.css | sha256sum
"$BIN" page.html | sha256sum
"$BIN" absent.css
echo "absent $?"
