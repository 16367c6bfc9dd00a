module example.com/gofuncgraph/matrix

go 1.17
