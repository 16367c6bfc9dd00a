module example.com/gofuncgraph/percall

go 1.21
