package main

// ballastBytes is how much larger the collector takes the heap for than it is.
const ballastBytes = 32 << 20

// ballast returns memory that nobody touches, so that none of the machine's is used for it. A daemon holds few megabytes and goes
// through hundreds a second: the collector, which begins anew whenever the heap has doubled, would be at work all the time. With
// a heap of its own size, as that of many rules is, it makes no difference, which a percentage for all (GOGC) would.
func ballast() []byte { return make([]byte, ballastBytes) }
