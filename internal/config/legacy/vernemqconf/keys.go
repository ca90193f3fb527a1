// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package vernemqconf

import (
	"embed"
	"slices"
	"strings"
	"sync"
)

// The releases whose keys are known: the one that was patched, and the stock
// one that replaces it.
const (
	Patched = "1.10.0"
	Stock   = "2.2.0"
)

// patchKeys are the keys that dojot's patches added to VerneMQ.
var patchKeys = []string{"ssl_trusted_cert_refresh_interval"}

// packageKeys are keys that the packages of VerneMQ demand, and its sources do
// not know.
var packageKeys = []string{"accept_eula"}

// Each file is the output of keygen for one release:
//
//	go run ./internal/config/legacy/vernemqconf/keygen 2.2.0 …
//
//go:embed keys/*.txt
var keyFiles embed.FS

// releaseKeys holds, for each release, the keys as its schema spells them, split
// into words.
var releaseKeys = sync.OnceValue(func() map[string][][]string {
	keys := map[string][][]string{}
	for _, release := range []string{Patched, Stock} {
		text, err := keyFiles.ReadFile("keys/" + release + ".txt")
		if err != nil {
			panic(err) // it is compiled in
		}
		for line := range strings.Lines(string(text)) {
			if line[0] != '#' {
				keys[release] = append(keys[release], strings.Split(strings.TrimSpace(line), "."))
			}
		}
	}
	return keys
})

// IsKey reports whether a release, Patched or Stock, knows a key. A word of the
// schema that begins with '$' stands for any word.
func IsKey(release, key string) bool {
	words := words(key)
	return slices.ContainsFunc(releaseKeys()[release], func(known []string) bool {
		return slices.EqualFunc(known, words, func(k, w string) bool { return k == w || k[0] == '$' && w != "" })
	})
}

// IsPackageKey reports whether the packages of VerneMQ demand a key that no
// release knows.
func IsPackageKey(key string) bool { return slices.Contains(packageKeys, key) }

// IsKnown reports whether any VerneMQ knows a key: either release, the patched
// broker or a package.
func IsKnown(key string) bool {
	return IsKey(Patched, key) || IsKey(Stock, key) || slices.Contains(patchKeys, key) || IsPackageKey(key)
}

// words splits a key at its dots, but for those that are escaped.
func words(key string) []string {
	words := strings.Split(strings.ReplaceAll(key, `\.`, "\x00"), ".")
	for i, word := range words {
		words[i] = strings.ReplaceAll(word, "\x00", `\.`)
	}
	return words
}

// isLiteralKey reports whether either release knows the key without a word that
// stands for any.
func isLiteralKey(key string) bool {
	words := words(key)
	return slices.ContainsFunc([]string{Patched, Stock}, func(release string) bool {
		return slices.ContainsFunc(releaseKeys()[release], func(known []string) bool { return slices.Equal(known, words) })
	})
}
