// Checks a checkpoint, a proof that an entry is in the ledger, and a proof that the ledger continues
// an older one, by the Go project's own packages. Usage: check FOLDER
package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func demand(problem error) {
	if problem != nil {
		fmt.Println("refused:", problem)
		os.Exit(1)
	}
}

func read(name string) string {
	data, problem := os.ReadFile(filepath.Join(os.Args[1], name))
	demand(problem)
	return string(data)
}

func decode(text string) (digest tlog.Hash) {
	data, problem := base64.StdEncoding.DecodeString(text)
	demand(problem)
	copy(digest[:], data)
	return digest
}

// parse returns the number in the last line before the digests, and the digests.
func parse(name, field string) (number int64, path []tlog.Hash) {
	head, _, _ := strings.Cut(read(name), "\n\n")
	_, rest, found := strings.Cut("\n"+head, "\n"+field+" ")
	if !found {
		demand(fmt.Errorf("%s has no %s", name, field))
	}
	lines := strings.Split(rest, "\n")
	number, problem := strconv.ParseInt(lines[0], 10, 64)
	demand(problem)
	for _, line := range lines[1:] {
		path = append(path, decode(line))
	}
	return number, path
}

func open(name string, verifier note.Verifier) (size int64, root tlog.Hash) {
	opened, problem := note.Open([]byte(read(name)), note.VerifierList(verifier))
	demand(problem)
	lines := strings.Split(opened.Text, "\n")
	size, problem = strconv.ParseInt(lines[1], 10, 64)
	demand(problem)
	return size, decode(lines[2])
}

func main() {
	verifier, problem := note.NewVerifier(strings.TrimSpace(read("key")))
	demand(problem)
	size, root := open("checkpoint", verifier)
	oldSize, oldRoot := open("old-checkpoint", verifier)
	index, path := parse("inclusion", "index")
	demand(tlog.CheckRecord(path, size, root, index, tlog.RecordHash([]byte(read("entry")))))
	old, path := parse("consistency", "old")
	if old != oldSize {
		demand(fmt.Errorf("the proof begins at %d, and the older checkpoint has %d", old, oldSize))
	}
	demand(tlog.CheckTree(path, size, root, old, oldRoot))
	fmt.Printf("entry %d of %d is there, and the ledger of %d continues\n", index, size, old)
}
