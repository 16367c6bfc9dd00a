package main

import "sync"

type lock struct{ mutex sync.Mutex }
