module example.com/gofuncgraph/hot

go 1.21
