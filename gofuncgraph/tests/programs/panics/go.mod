module example.com/gofuncgraph/panics

go 1.17
