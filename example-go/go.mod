module example.com/gofuncgraph/example-go

go 1.21
