// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"io"
	"net/http"
)

// Ask sends a request to the admin server, with the token unless it is "", and
// returns what came of it. The body of the response has been read and closed.
func (v *Vernegate) Ask(ctx context.Context, method, path, token string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+v.Admin+path, nil)
	if err != nil {
		return nil, "", err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}
