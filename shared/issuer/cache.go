package issuer

import (
	"crypto/sha256"
	"sync"
	"time"
)

// cache keeps verified tokens under the hash of their whole text, never a part of it, until they end. Only what has been verified gets in,
// so nobody can push others out with what they make up. The zero value is ready to use.
type cache struct {
	mu     sync.RWMutex
	tokens map[[sha256.Size]byte]cached
	bytes  int
}

type cached struct {
	token *Token
	bytes int
}

// entryBytes is what an entry takes beside its claims, roughly.
const entryBytes = 512

func (c *cache) get(name [sha256.Size]byte, now time.Time) *Token {
	c.mu.RLock()
	found := c.tokens[name].token
	c.mu.RUnlock()
	if found == nil || !now.Before(found.Expires.Add(Leeway)) {
		return nil
	}
	return found
}

func (c *cache) put(name [sha256.Size]byte, token *Token, textBytes int, now time.Time) {
	size := textBytes + entryBytes
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil {
		c.tokens = make(map[[sha256.Size]byte]cached)
	}
	if old, there := c.tokens[name]; there {
		c.bytes -= old.bytes
	} else if c.bytes+size > cacheBytesMax {
		c.makeRoom(size, now)
	}
	c.tokens[name] = cached{token, size}
	c.bytes += size
}

// makeRoom drops what has ended, and if that is not enough, any others.
func (c *cache) makeRoom(size int, now time.Time) {
	for name, one := range c.tokens {
		if !now.Before(one.token.Expires.Add(Leeway)) {
			c.drop(name, one)
		}
	}
	for name, one := range c.tokens {
		if c.bytes+size <= cacheBytesMax*3/4 {
			return
		}
		c.drop(name, one)
	}
}

func (c *cache) drop(name [sha256.Size]byte, one cached) {
	delete(c.tokens, name)
	c.bytes -= one.bytes
}
