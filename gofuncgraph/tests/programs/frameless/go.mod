module example.com/gofuncgraph/frameless

go 1.21
