package e2e

import "testing"

// TestSignIn has a person sign in to the dashboard of an aimux that wants tokens: with a wrong one, the right one, and by the printed address.
func TestSignIn(t *testing.T) {
	x := openTarget(t)
	browse(t, "signin", "http://"+x.admin, x.token)
}
