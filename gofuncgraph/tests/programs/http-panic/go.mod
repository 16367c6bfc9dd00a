module example.com/gofuncgraph/http-panic

go 1.21
