module example.com/gofuncgraph/library

go 1.21
