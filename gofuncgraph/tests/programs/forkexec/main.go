// Command forkexec starts itself as a child again and again. After "ready PID" it
// obeys lines on standard input:
//
//	spawn N    calls spawn N times, one after the other; each child calls
//	           childWork three times and exits. Answers "spawned PID…".
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "child" {
		sum := 0
		for i := 0; i < 3; i++ {
			sum += childWork(i)
		}
		fmt.Print(os.Getpid(), " ", sum)
		return
	}

	fmt.Println("ready", os.Getpid())
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		count, found := strings.CutPrefix(input.Text(), "spawn ")
		n, err := strconv.Atoi(count)
		if !found || err != nil {
			fmt.Fprintf(os.Stderr, "forkexec: %q is not a command\n", input.Text())
			os.Exit(2)
		}
		answer := "spawned"
		for i := 0; i < n; i++ {
			pid, err := spawn()
			if err != nil {
				fmt.Fprintln(os.Stderr, "forkexec:", err)
				os.Exit(1)
			}
			answer += " " + pid
		}
		fmt.Println(answer)
	}
}

// spawn runs a child to its end and returns its process id.
func spawn() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	output, err := exec.Command(self, "child").Output()
	if err != nil {
		return "", err
	}
	pid, sum, _ := bytes.Cut(output, []byte(" "))
	if string(sum) != "6" {
		return "", fmt.Errorf("the child answered %q", output)
	}
	return string(pid), nil
}

// Inlined, it could not be traced.
//
//go:noinline
func childWork(i int) int {
	return 2 * i
}
