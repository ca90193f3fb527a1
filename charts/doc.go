// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package charts has nothing but tests of the Helm chart beside it. It is a module
// of its own so that whoever builds vernegate needs none of Helm.
package charts
