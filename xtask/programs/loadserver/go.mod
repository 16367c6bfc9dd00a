module example.com/gofuncgraph/loadserver

go 1.21
