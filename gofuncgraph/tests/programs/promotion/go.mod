module example.com/gofuncgraph/promotion

go 1.21
