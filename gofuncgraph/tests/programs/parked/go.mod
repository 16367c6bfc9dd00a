module example.com/gofuncgraph/parked

go 1.17
