// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/vernegate/vernegate/internal/config"
)

// TestDocumentsNameVariablesThatThereAre reads what people are told to set.
func TestDocumentsNameVariablesThatThereAre(t *testing.T) {
	t.Parallel()
	variable := regexp.MustCompile(`\bVERNEGATE_[A-Z_]+[A-Z]\b`)
	named := 0
	for _, folder := range []string{"../../docs", "../../examples", "../../charts", "../../packaging"} {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) == ".go" {
				return err
			}
			text, err := os.ReadFile(path)
			for _, name := range variable.FindAllString(string(text), -1) {
				named++
				if !slices.Contains(config.Variables(), name) {
					t.Errorf("%s names %s, which does not exist", path, name)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if named == 0 {
		t.Error("no variable is named at all")
	}
}
