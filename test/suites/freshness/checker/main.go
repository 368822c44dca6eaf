// Command checker judges a history of answers and changes with porcupine.
//
//	checker HISTORY FOLDER
//
// HISTORY has a JSON object a line. What is illegal gets a picture in FOLDER. The last line of the output is a JSON
// object that says what was found.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// An entry is one question with its answer, or one change. Times are in nanoseconds of one clock.
type entry struct {
	Key string `json:"key"`
	// Who answered, one life of one process. Empty for a change.
	Holder string `json:"holder"`
	// What the key was answered to be, or what the change makes of it.
	Verdict string `json:"verdict"`
	Call    int64  `json:"call"`
	// Null for a change that nobody got an answer to: it may happen at any later time.
	Return *int64 `json:"return"`
}

func (e *entry) isChange() bool { return e.Holder == "" }

type kind int

const (
	ask kind = iota
	begin
	end
)

type input struct {
	kind    kind
	verdict string
}

// What a key may be answered to be: one verdict, or while a change is under way two.
type state struct{ now, next string }

type violation struct {
	Model   string `json:"model"`
	Key     string `json:"key"`
	Holder  string `json:"holder,omitempty"`
	Picture string `json:"picture"`
}

type finding struct {
	Result     string      `json:"result"`
	Answers    int         `json:"answers"`
	Changes    int         `json:"changes"`
	Violations []violation `json:"violations"`
}

const timeLimit = 30 * time.Second

// A change is two operations. From its beginning on, before its answer, either verdict is right; from its end on, which
// is its answer, only the new one is.
var promise = porcupine.Model{
	Init:              func() any { return state{now: "accept"} },
	Step:              stepPromise,
	DescribeOperation: describe,
	DescribeState:     func(s any) string { return fmt.Sprintf("%+v", s) },
}

// For one holder a change happens at one moment: the holder never goes back.
var register = porcupine.Model{
	Init:              func() any { return "accept" },
	Step:              stepRegister,
	DescribeOperation: describe,
}

func stepPromise(before, operation, _ any) (bool, any) {
	s, in := before.(state), operation.(input)
	switch in.kind {
	case begin:
		return true, state{now: s.now, next: in.verdict}
	case end:
		return s.next == in.verdict, state{now: in.verdict}
	default:
		return in.verdict == s.now || in.verdict == s.next, s
	}
}

func stepRegister(before, operation, _ any) (bool, any) {
	in := operation.(input)
	if in.kind == begin {
		return true, in.verdict
	}
	return in.verdict == before, before
}

func describe(operation, _ any) string {
	in := operation.(input)
	return [...]string{"answered: ", "change begins: ", "change answered: "}[in.kind] + in.verdict
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: checker HISTORY FOLDER")
	}
	entries, err := read(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	found, err := judge(entries, os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}

func read(path string) ([]entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var entries []entry
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		entries = append(entries, e)
	}
	return entries, lines.Err()
}

func judge(entries []entry, folder string) (finding, error) {
	found := finding{Result: "Ok", Violations: []violation{}}
	byKey := map[string][]entry{}
	for _, e := range entries {
		byKey[e.Key] = append(byKey[e.Key], e)
		if e.isChange() {
			found.Changes++
		} else {
			found.Answers++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		of := byKey[key]
		if err := found.check("promise", promise, toPromise(of), violation{Key: key}, folder); err != nil {
			return found, err
		}
		for _, holder := range holdersIn(of) {
			subject := violation{Key: key, Holder: holder}
			if err := found.check("register", register, toRegister(of, holder), subject, folder); err != nil {
				return found, err
			}
		}
	}
	return found, nil
}

func (f *finding) check(name string, model porcupine.Model, history []porcupine.Operation, subject violation,
	folder string) error {
	result, information := porcupine.CheckOperationsVerbose(model, history, timeLimit)
	if result == porcupine.Ok {
		return nil
	}
	if f.Result != string(porcupine.Illegal) {
		f.Result = string(result)
	}
	subject.Model = name
	subject.Picture = filepath.Join(folder, fmt.Sprintf("%s-%s%s.html", name, subject.Key, subject.Holder))
	f.Violations = append(f.Violations, subject)
	return porcupine.VisualizePath(model, information, subject.Picture)
}

func holdersIn(entries []entry) []string {
	holders := map[string]bool{}
	for _, e := range entries {
		if !e.isChange() {
			holders[e.Holder] = true
		}
	}
	return slices.Sorted(maps.Keys(holders))
}

func toPromise(entries []entry) []porcupine.Operation {
	var history []porcupine.Operation
	holders := holdersIn(entries)
	latest := latestOf(entries)
	for _, e := range entries {
		switch {
		case !e.isChange():
			client := 1 + slices.Index(holders, e.Holder)
			history = append(history, operation(client, ask, e.Verdict, e.Call, *e.Return))
		case e.Return == nil:
			history = append(history, operation(0, begin, e.Verdict, e.Call, latest))
		default:
			history = append(history, operation(0, begin, e.Verdict, e.Call, *e.Return))
			last := &history[len(history)-1]
			// An interval has both its ends: whoever asks at the time of the answer is beside it.
			after := last.Return + 1
			history = append(history, porcupine.Operation{
				ClientId: 0, Input: input{end, e.Verdict}, Call: after, Return: after,
			})
		}
	}
	return history
}

func toRegister(entries []entry, holder string) []porcupine.Operation {
	var history []porcupine.Operation
	latest := latestOf(entries)
	for _, e := range entries {
		switch {
		case e.Holder == holder:
			history = append(history, operation(1, ask, e.Verdict, e.Call, *e.Return))
		case !e.isChange():
		case e.Return == nil:
			history = append(history, operation(0, begin, e.Verdict, e.Call, latest))
		default:
			history = append(history, operation(0, begin, e.Verdict, e.Call, *e.Return))
		}
	}
	return history
}

// Leaves room between two nanoseconds for the end of a change.
func operation(client int, k kind, verdict string, call, returned int64) porcupine.Operation {
	return porcupine.Operation{ClientId: client, Input: input{k, verdict}, Call: 2 * call, Return: 2 * returned}
}

func latestOf(entries []entry) int64 {
	var latest int64
	for _, e := range entries {
		latest = max(latest, e.Call)
		if e.Return != nil {
			latest = max(latest, *e.Return)
		}
	}
	return latest + 1
}
