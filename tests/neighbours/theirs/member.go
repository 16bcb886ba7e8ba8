// A member of a group, by Go's zk.Lock (github.com/samuel/go-zookeeper); see Member.java for what it writes and is told. It cannot
// leave the queue before its turn: Lock waits until it has the lock or its session expires.
//
//	member HOSTS PATH VALUE LOG TIMEOUT_MS
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/samuel/go-zookeeper/zk"
)

const clockMonotonic = 1

func now() int64 {
	var time syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&time)), 0)
	return time.Nano()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	hosts, path, timeout := strings.Split(os.Args[1], ","), os.Args[2], os.Args[5]
	log, err := os.OpenFile(os.Args[4], os.O_WRONLY|os.O_APPEND, 0)
	must(err)
	timeoutMs, err := strconv.Atoi(timeout)
	must(err)
	connection, events, err := zk.Connect(hosts, time.Duration(timeoutMs)*time.Millisecond)
	must(err)

	var leads int32
	end := make(chan bool, 1)
	endTerm := func() {
		atomic.StoreInt32(&leads, 0)
		select {
		case end <- true:
		default:
		}
	}
	// Lock itself tells nothing of a lost connection or session: whoever uses it listens to the connection, as here.
	go func() {
		for event := range events {
			if event.State == zk.StateDisconnected || event.State == zk.StateExpired {
				endTerm()
			}
		}
	}()

	var closing int32
	done := make(chan bool)
	go func() {
		for atomic.LoadInt32(&closing) == 0 {
			lock := zk.NewLock(connection, path, zk.WorldACL(zk.PermAll))
			select {
			case <-end:
			default:
			}
			if err := lock.Lock(); err != nil {
				fmt.Fprintln(os.Stderr, "Lock:", err)
				time.Sleep(10 * time.Millisecond)
				continue
			}
			atomic.StoreInt32(&leads, 1)
			<-end
			atomic.StoreInt32(&leads, 0)
			for {
				err := lock.Unlock()
				if err == nil || err == zk.ErrNoNode || err == zk.ErrNotLocked || err == zk.ErrSessionExpired {
					break
				}
				fmt.Fprintln(os.Stderr, "Unlock:", err)
				time.Sleep(10 * time.Millisecond)
			}
		}
		done <- true
	}()

	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			switch in.Text() {
			case "resign":
				endTerm()
			case "close":
				atomic.StoreInt32(&closing, 1)
				if atomic.LoadInt32(&leads) == 1 {
					endTerm()
					<-done
				}
				connection.Close()
				fmt.Fprintf(log, "E %d 0\n", now())
				os.Exit(0)
			}
		}
		os.Exit(0)
	}()

	known, believed := int64(0), false
	for {
		session := connection.SessionID()
		if session != known && session != 0 {
			fmt.Fprintf(log, "S %d\n", session)
			known = session
		}
		before := now()
		believes := atomic.LoadInt32(&leads) == 1
		after := now()
		if believes {
			fmt.Fprintf(log, "Y %d %d %d 0 0\n", before, after, before)
		} else if believed {
			fmt.Fprintf(log, "N %d %d\n", before, after)
		}
		believed = believes
		time.Sleep(time.Millisecond)
	}
}
