module example.com/gofuncgraph/sleeper

go 1.21
