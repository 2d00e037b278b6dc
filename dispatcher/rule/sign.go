package rule

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// Sign gives the value of the webhook-signature header (Standard Webhooks, "Signature scheme"): for each key, in their
// order and parted by spaces, "v1," and the base64 of the HMAC-SHA256 of "id.timestamp.body". No keys give "".
func Sign(id string, unixSeconds int64, body []byte, keys [][]byte) string {
	if len(keys) == 0 {
		return ""
	}
	head := append([]byte(id), '.')
	head = strconv.AppendInt(head, unixSeconds, 10)
	head = append(head, '.')
	var b strings.Builder
	for i, key := range keys {
		if i > 0 {
			b.WriteByte(' ')
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(head)
		mac.Write(body)
		b.WriteString("v1,")
		b.WriteString(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return b.String()
}
