module example.com/gofuncgraph/forkexec

go 1.21
