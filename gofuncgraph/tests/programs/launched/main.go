// Command launched calls counted at once: once for a variable, once in init, and once in main's
// first statement. Then it does what its first argument says:
//
//	count N            calls counted N times and prints "counted N"
//	status N           exits with status N
//	kill N             sends itself signal N, which it does not handle
//	copy               copies its standard input to its standard output and error
//	signals            prints "ready PID" and each signal it gets, for instance "got interrupt",
//	                   and calls counted for it;
//	                   exits with status 7 at SIGTERM, and at the second SIGINT
//	execute HOW ARG…   executes itself with ARG…, from the thread HOW: leader or other
//	start ARG…         starts itself with ARG… as a child, waits for it, and exits with its status
//	leave ARG…         starts itself with ARG… as a child, and exits without waiting
//	wait ARG…          prints "ready PID", waits for the end of its standard input, and does ARG…
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
)

var fromVariable = counted(1)

func init() {
	runtime.LockOSThread() // main stays on the leader
	counted(fromVariable)
}

func main() {
	counted(0)
	do(os.Args[1:])
}

func do(arguments []string) {
	if len(arguments) == 0 {
		return
	}
	switch arguments[0] {
	case "count":
		n := number(arguments)
		for i := 0; i < n; i++ {
			counted(i)
		}
		fmt.Println("counted", n)
	case "status":
		os.Exit(number(arguments))
	case "kill":
		check(syscall.Kill(os.Getpid(), syscall.Signal(number(arguments))))
		select {}
	case "copy":
		_, err := io.Copy(io.MultiWriter(os.Stdout, os.Stderr), os.Stdin)
		check(err)
	case "signals":
		printSignals()
	case "execute":
		execute := func() {
			self, err := os.Executable()
			check(err)
			check(syscall.Exec(self, append([]string{os.Args[0]}, arguments[2:]...), os.Environ()))
		}
		if arguments[1] == "leader" {
			execute()
		}
		go execute() // main's thread is taken
		select {}
	case "start":
		command := child(arguments)
		if err := command.Run(); err != nil {
			os.Exit(command.ProcessState.ExitCode())
		}
	case "leave":
		check(child(arguments).Start())
	case "wait":
		fmt.Println("ready", os.Getpid())
		_, err := io.Copy(io.Discard, os.Stdin)
		check(err)
		do(arguments[1:])
	default:
		check(fmt.Errorf("%q cannot be obeyed", arguments))
	}
}

func child(arguments []string) *exec.Cmd {
	self, err := os.Executable()
	check(err)
	command := exec.Command(self, arguments[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	return command
}

func printSignals() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1,
		syscall.SIGUSR2, syscall.SIGWINCH)
	fmt.Println("ready", os.Getpid())
	interrupts := 0
	for got := range signals {
		counted(interrupts)
		fmt.Println("got", got)
		if got == syscall.SIGINT {
			interrupts++
		}
		if got == syscall.SIGTERM || interrupts == 2 {
			os.Exit(7)
		}
	}
}

func number(arguments []string) int {
	n, err := strconv.Atoi(arguments[1])
	check(err)
	return n
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "launched:", err)
		os.Exit(3)
	}
}

// What a test counts may not be inlined.
//
//go:noinline
func counted(i int) int {
	return i + 1
}
