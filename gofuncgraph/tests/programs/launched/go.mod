module example.com/gofuncgraph/launched

go 1.21
