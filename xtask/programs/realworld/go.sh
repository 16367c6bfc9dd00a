# The go command: dependencies, documentation, and code that does not pass vet.
mkdir module
cd module
printf 'module example.com/m\n\ngo 1.21\n' >go.mod
printf 'package m\n\nimport "fmt"\n\nfunc F() { fmt.Printf("%%d", "x") }\n' >m.go
export GOFLAGS= GOENV=off GOWORK=off GOTOOLCHAIN=local CGO_ENABLED=0
"$BIN" list -deps -f '{{.ImportPath}} {{len .GoFiles}} {{.Imports}}' net/http | sha256sum
"$BIN" doc net/http.Handler
"$BIN" list -m
"$BIN" vet .
echo "vet $?"
