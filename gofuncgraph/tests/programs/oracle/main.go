// Command oracle knows how often each of its functions was called, and how each
// call ended. A test traces it and compares.
//
// It prints "ready PID", and for every line "go" on standard input runs its
// stages and prints
//
//	slept NAME INNER OUTER    per known sleep: ns measured inside and around it
//	entered NAME N            per counted function
//	returned NAME N
//	unwound NAME N            entered and left by a panic or by Goexit
//	ok                        or "wrong: …" when a stage computed nonsense
//	done                      no counted call is open any more
//
// It exits at the end of standard input: with 1 if anything was wrong.
//
// Counted functions must not be inlined, and mostly have no defer of their own,
// because one changes the code of the function that has it. NAME is what the
// runtime reports, with "[...]" for the shapes of generic functions.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
)

var (
	goroutines = flag.Int("goroutines", 1000, "goroutines alive at once in the stage of that name")
	scale      = flag.Int("scale", 1, "repeats every stage")
)

type stage struct {
	name string
	run  func()
}

// stages in the order in which they run; some are there with newer releases or with cgo only.
var stages = []stage{
	{"recursion", recursionStage},
	{"goroutines", goroutineStage},
	{"gc", garbageStage},
	{"closures", closureStage},
	{"generics", genericStage},
	{"interfaces", interfaceStage},
	{"defers", deferStage},
	{"panics", panicStage},
	{"goexit", goexitStage},
	{"blocking", blockingStage},
	{"locked", lockedStage},
	{"migration", migrationStage},
	{"signals", signalStage},
	{"growth", growthStage},
	{"callers", callersStage},
	{"finalizers", finalizerStage},
	{"sleeps", sleepStage},
}

func main() {
	selected := flag.String("stages", "", "comma-separated stages to run; all if empty")
	profile := flag.Bool("profile", true, "receive SIGPROF at 1 kHz of processor time")
	flag.Parse()

	if *profile {
		// Nobody reads the samples; they are dropped once their buffer is full.
		runtime.SetCPUProfileRate(1000)
	}
	chosen := strings.Split(*selected, ",")
	for _, name := range chosen {
		if name != "" && !known(name) {
			fmt.Fprintln(os.Stderr, "oracle: no stage is called", name)
			os.Exit(2)
		}
	}

	fmt.Println("ready", os.Getpid())
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		if input.Text() != "go" {
			fmt.Fprintf(os.Stderr, "oracle: %q is not a command\n", input.Text())
			os.Exit(2)
		}
		round(chosen)
		report(os.Stdout)
		fmt.Println("done")
	}
	if len(wrongs.all()) > 0 {
		os.Exit(1)
	}
}

func known(name string) bool {
	for _, stage := range stages {
		if stage.name == name {
			return true
		}
	}
	return false
}

// round runs the chosen stages once, from counts of zero.
func round(chosen []string) {
	resetCounts()
	alive := runtime.NumGoroutine()
	for _, stage := range stages {
		for _, name := range chosen {
			if name == "" || name == stage.name {
				for i := 0; i < *scale; i++ {
					stage.run()
				}
			}
		}
	}
	// A goroutine that signalled its end may still have to return.
	for runtime.NumGoroutine() > alive {
		runtime.Gosched()
	}
}
