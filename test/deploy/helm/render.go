// Renders a chart as `helm template` does, with what Helm itself is made of: Go's templates and the functions of sprig.
// Helm's own program is in no package of Debian; its loading of dependencies and hooks is not needed here.
//
//	render CHART RELEASE NAMESPACE VALUES.yaml…   later values win; documents go to stdout, NOTES.txt is one of them
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type object = map[string]interface{}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func readYaml(path string) object {
	text, err := os.ReadFile(path)
	must(err)
	values := object{}
	must(yaml.Unmarshal(text, &values))
	return values
}

// A map is merged key by key, everything else is replaced; null takes a default away.
func merge(into, from object) {
	for key, value := range from {
		inner, isMap := value.(object)
		known, wasMap := into[key].(object)
		switch {
		case value == nil:
			delete(into, key)
		case isMap && wasMap:
			merge(known, inner)
		default:
			into[key] = value
		}
	}
}

type files struct{ dir string }

func (f files) Get(name string) string {
	text, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil {
		return ""
	}
	return string(text)
}

func toYaml(value interface{}) string {
	text, err := yaml.Marshal(value)
	must(err)
	return strings.TrimSuffix(string(text), "\n")
}

func main() {
	dir, release, namespace := os.Args[1], os.Args[2], os.Args[3]
	described := readYaml(filepath.Join(dir, "Chart.yaml"))
	chart := object{}
	for key, value := range described {
		chart[strings.ToUpper(key[:1])+key[1:]] = value
	}
	values := readYaml(filepath.Join(dir, "values.yaml"))
	for _, path := range os.Args[4:] {
		merge(values, readYaml(path))
	}
	root := object{
		"Chart":   chart,
		"Values":  values,
		"Files":   files{dir},
		"Release": object{"Name": release, "Namespace": namespace, "Service": "Helm", "IsInstall": true, "Revision": 1},
	}
	all := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["toYaml"] = toYaml
	functions["toJson"] = func(value interface{}) string { text, _ := json.Marshal(value); return string(text) }
	functions["include"] = func(name string, data interface{}) (string, error) {
		var text strings.Builder
		err := all.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	functions["required"] = func(sentence string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, fmt.Errorf("%s", sentence)
		}
		return value, nil
	}
	all.Funcs(functions)
	paths, err := filepath.Glob(filepath.Join(dir, "templates", "*"))
	must(err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		must(err)
		_, err = all.New(filepath.Base(path)).Parse(string(text))
		must(err)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		if strings.HasPrefix(name, "_") {
			continue
		}
		var text strings.Builder
		must(all.ExecuteTemplate(&text, name, root))
		// As Helm does where a value is missing.
		fmt.Printf("---\n# Source: %s\n%s\n", name, strings.ReplaceAll(text.String(), "<no value>", ""))
	}
}
