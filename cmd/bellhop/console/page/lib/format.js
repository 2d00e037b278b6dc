// How numbers, times and durations read.

const whole = new Intl.NumberFormat('en')
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 })
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const day = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short' })
const year = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short', year: 'numeric' })

export const num = (n) => whole.format(n ?? 0)

// short keeps numbers below least as they are: there every digit is worth reading.
export const short = (n, least = 1e5) => ((n ?? 0) < least ? num(n) : compact.format(n))

export const plural = (n, one, many = one + 's') => `${num(n)} ${n === 1 ? one : many}`

// rate is the errors' share of attempts in per cent; never 0 % where there are some, nor 100 % where there is more.
export function rate({ errors: part, delivered }) {
	const all = part + delivered
	if (!part) return '0 %'
	const p = (100 * part) / all
	if (p < 0.1) return '< 0.1 %'
	if (p > 99.9 && part < all) return '> 99.9 %'
	return `${p.toFixed(p < 10 ? 1 : 0)} %`
}

// ms is a duration of milliseconds.
export function ms(v) {
	if (v === undefined || v === null) return '–'
	if (v < 1) return '< 1 ms'
	if (v < 10) return `${v.toFixed(1)} ms`
	if (v < 1000) return `${Math.round(v)} ms`
	if (v < 60000) return `${(v / 1000).toFixed(v < 10000 ? 2 : 1)} s`
	return span(v / 1000)
}

// span is a length of time in seconds, of two units at most.
export function span(s) {
	s = Math.max(0, Math.round(s))
	if (s < 60) return `${s} s`
	if (s < 3600) return s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s / 60} min`
	const m = Math.round(s / 60)
	if (m < 1440) return m % 60 ? `${Math.floor(m / 60)} h ${m % 60} min` : `${m / 60} h`
	const hours = Math.round(s / 3600)
	return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`
}

export function bytes(n) {
	if (n < 1024) return `${n} B`
	for (const unit of ['KiB', 'MiB', 'GiB']) {
		n /= 1024
		if (n < 1024) return `${n.toFixed(n < 10 ? 1 : 0)} ${unit}`
	}
	return `${(n / 1024).toFixed(1)} TiB`
}

const sameDay = (a, b) => a.toDateString() === b.toDateString()

// when is a time of this browser's zone: the clock alone for today, with the date for other days.
export function when(iso, millis = false) {
	const d = new Date(iso)
	const now = new Date()
	let t = clock.format(d)
	if (millis) t += '.' + String(d.getMilliseconds()).padStart(3, '0')
	if (sameDay(d, now)) return t
	return `${(d.getFullYear() === now.getFullYear() ? day : year).format(d)}, ${t}`
}

// utc is for titles: the time without a zone to guess.
export const utc = (iso) => new Date(iso).toISOString().replace('T', ' ').replace('Z', ' UTC')

// endpoint shortens an endpoint to what tells it from others.
export const endpoint = (url) => (url ?? '').replace(/^https?:\/\//, '')
