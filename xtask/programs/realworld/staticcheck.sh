# staticcheck: finds what is wrong with a program.
unset GOROOT
mkdir module
cd module
printf 'module example.com/m\n\ngo 1.21\n' >go.mod
printf 'package main\n\nimport (\n\t"fmt"\n\t"strings"\n)\n\nfunc unused() {}\n\nfunc main() {\n\tx := 1\n\tx = 2\n\tfmt.Println(strings.Replace("a", "b", "c", -1), x == x)\n}\n' >main.go
export GOFLAGS= GOENV=off GOWORK=off CGO_ENABLED=0 XDG_CACHE_HOME="$PWD/cache"
"$BIN" ./...
echo "found $?"
