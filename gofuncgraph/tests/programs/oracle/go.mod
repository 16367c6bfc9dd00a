module example.com/gofuncgraph/oracle

go 1.21
