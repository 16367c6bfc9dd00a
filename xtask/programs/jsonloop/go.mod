module example.com/gofuncgraph/jsonloop

go 1.21
