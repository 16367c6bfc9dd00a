module example.com/gofuncgraph/tests/functrace

go 1.21
