package work

import (
	"os"
	"strconv"
	"sync/atomic"
)

// counts of one function. What was entered and did not return was unwound.
type counts struct {
	name              string
	entered, returned int64
}

var (
	round       = counts{name: "Round"}
	descending  = counts{name: "descend"}
	huge        = counts{name: "hugeFrame"}
	workers     = counts{name: "worker"}
	middles     = counts{name: "middle"}
	leaves      = counts{name: "leaf"}
	adders      = counts{name: "makeAdder"}
	added       = counts{name: "makeAdder.func1"}
	sizes       = counts{name: "(*box).Size"}
	recoverers  = counts{name: "recovering"}
	recoverings = counts{name: "recovering.func1"}
	failing     = counts{name: "fail"}
	quitting    = counts{name: "quit"}
	leaving     = counts{name: "leave"}
	sleeping    = counts{name: "sleep20ms"}
)

var all = []*counts{
	&round, &descending, &huge, &workers, &middles, &leaves, &adders, &added, &sizes, &recoverers, &recoverings,
	&failing, &quitting, &leaving, &sleeping,
}

// Count adds what is counted in another package.
func Count(name string, entered, returned int64) {
	all = append(all, &counts{name, entered, returned})
}

func enter(c *counts) { atomic.AddInt64(&c.entered, 1) }
func exit(c *counts)  { atomic.AddInt64(&c.returned, 1) }

// Report prints what happened since the last report, or since the program began.
func Report() {
	print := func(what, name string, numbers ...int64) {
		line := what + " " + name
		for _, number := range numbers {
			line += " " + strconv.FormatInt(number, 10)
		}
		os.Stdout.WriteString(line + "\n")
	}
	for _, c := range all {
		print("entered", c.name, atomic.SwapInt64(&c.entered, 0))
		print("returned", c.name, atomic.SwapInt64(&c.returned, 0))
	}
	print("deepest", descending.name, depth+1)
	print("slept", sleeping.name, sleptInside, sleptAround)
}
