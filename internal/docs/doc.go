// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package docs holds what people read, the pages, the chart and the examples, to what vernegate does. It has tests
// alone.
package docs
