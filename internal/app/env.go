package app

import "strings"

// truthy reads a boolean environment variable as Flower does.
func truthy(s string) bool {
	switch strings.ToLower(s) {
	case "", "0", "false", "no", "off", "n", "f":
		return false
	}
	return true
}

// splitUsers splits "user:password,user:password".
func splitUsers(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}
