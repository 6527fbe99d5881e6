// Program decisions asks OPA, in process, which agreements each record of a cases file reaches.
//
//	decisions CASES.json > result.json
//
// Two forms of the same policy, both as OPA's documentation on performance advises: `lookup` keeps the agreements as
// data, an object under the municipality's code; `rules` is one rule per agreement out of equalities on the input alone,
// which OPA's rule index reads (the linear fragment). Queries are prepared and inputs parsed before anything is measured.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

type agreement struct {
	ID      string `json:"id"`
	NIS     string `json:"nis"`
	Purpose string `json:"purpose"`
	Allowed bool   `json:"allowed"`
}

type record struct {
	NIS     string `json:"nis"`
	Purpose string `json:"purpose"`
}

type cases struct {
	Agreements []agreement `json:"agreements"`
	Records    []record    `json:"records"`
	Checked    int         `json:"checked"`
	Seconds    float64     `json:"seconds"`
}

// form is what was measured of one way to write the policy; ns are per record.
type form struct {
	PrepareS  float64    `json:"prepare_s"`
	CPUNs     float64    `json:"cpu_ns"`
	WallNs    float64    `json:"wall_ns"`
	Decisions int        `json:"decisions"`
	Answers   [][]string `json:"answers"`
}

type result struct {
	Version string          `json:"version"`
	Forms   map[string]form `json:"forms"`
}

const lookup = `package exchange

reached contains agreement.id if {
	some agreement in data.agreements[input.nis]
	agreement.purpose == input.purpose
	agreement.allowed
}
`

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: decisions CASES.json")
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var given cases
	if err := json.Unmarshal(text, &given); err != nil {
		log.Fatal(err)
	}
	found := result{Version: version(), Forms: map[string]form{}}
	byNIS, allowed := documents(given.Agreements)
	found.Forms["lookup"] = measure(given, lookup, map[string]any{"agreements": byNIS})
	found.Forms["rules"] = measure(given, rules(given.Agreements), map[string]any{"allowed": allowed})
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}

// documents are the agreements under their municipality's code, and whether each may deliver.
func documents(agreements []agreement) (map[string]any, map[string]any) {
	byNIS, allowed := map[string]any{}, map[string]any{}
	for _, a := range agreements {
		held, _ := byNIS[a.NIS].([]any)
		byNIS[a.NIS] = append(held, map[string]any{"id": a.ID, "purpose": a.Purpose, "allowed": a.Allowed})
		allowed[a.ID] = a.Allowed
	}
	return byNIS, allowed
}

// rules is one rule per agreement.
func rules(agreements []agreement) string {
	var text strings.Builder
	text.WriteString("package exchange\n")
	for _, a := range agreements {
		fmt.Fprintf(&text, "\nreached contains %q if {\n\tinput.nis == %q\n\tinput.purpose == %q\n\tdata.allowed[%q]\n}\n",
			a.ID, a.NIS, a.Purpose, a.ID)
	}
	return text.String()
}

func measure(given cases, module string, data map[string]any) form {
	ctx, began := context.Background(), time.Now()
	// Values are read as they are evaluated: the store's own option for embedding programs that care about speed.
	store := inmem.NewFromObjectWithOpts(data, inmem.OptReturnASTValuesOnRead(true))
	query, err := rego.New(
		rego.Query("data.exchange.reached"), rego.Module("exchange.rego", module), rego.Store(store),
	).PrepareForEval(ctx)
	if err != nil {
		log.Fatal(err)
	}
	prepared := time.Since(began).Seconds()
	inputs := make([]ast.Value, len(given.Records))
	for i, r := range given.Records {
		inputs[i] = ast.MustInterfaceToValue(map[string]any{"nis": r.NIS, "purpose": r.Purpose})
	}
	ask := func(input ast.Value) []any {
		answer, err := query.Eval(ctx, rego.EvalParsedInput(input))
		if err != nil {
			log.Fatal(err)
		}
		return answer[0].Expressions[0].Value.([]any)
	}
	answers := make([][]string, given.Checked)
	for i := range answers {
		answers[i] = []string{}
		for _, id := range ask(inputs[i]) {
			answers[i] = append(answers[i], id.(string))
		}
		sort.Strings(answers[i])
	}
	next := 0
	for number := 1; ; number *= 2 {
		cpu, wall := cpuTime(), time.Now()
		for range number {
			ask(inputs[next])
			next = (next + 1) % len(inputs)
		}
		spent, passed := cpuTime()-cpu, time.Since(wall)
		if passed.Seconds() >= given.Seconds {
			n := float64(number)
			return form{prepared, float64(spent.Nanoseconds()) / n, float64(passed.Nanoseconds()) / n, number, answers}
		}
	}
}

// cpuTime is what this process used so far, its garbage collector included.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		log.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/open-policy-agent/opa" {
				return module.Version
			}
		}
	}
	return "unknown"
}
